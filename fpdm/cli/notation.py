"""How the value of an option is written, so that it is read as the same value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from fpdm.cli.components import read_value
from fpdm.plugins.failures import LONGEST
from fpdm.runtime.toml import read_toml_value, toml


@frozen
class Notation:
    """A way in which values are written and read.

    Attributes:
        write: makes a text of a value, or raises.
        read: makes a value of a text, or raises.
    """

    write: Callable[[Any], str]
    read: Callable[[str], Any]

    def exact(self, value: object) -> str | None:
        """How a value is written so that it is read as the same.

        Args:
            value: anything.

        Returns:
            The text; None if there is none, or it is long.
        """
        try:
            written = self.write(value)
            if len(written) > LONGEST:
                return None
            found = self.read(written)
            same = type(found) is type(value) and found == value and repr(found) == repr(value)
        except KeyboardInterrupt:
            raise
        except BaseException:  # it has no such form, or raises where one looks
            return None
        return written if same else None


def _python(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """A text as Python writes it between double quotes, in letters that can be printed."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(letter: str) -> str:
    if letter == '"':
        return '\\"'
    if letter.isprintable() and letter != "\\":
        return letter
    return letter.encode("unicode_escape").decode("ascii")


PYTHON = Notation(_python, read_value)
"""What is written after `name:option=`, and in Python; strings in double quotes."""

TOML = Notation(toml, read_toml_value)
"""What is written in a configuration, and after `--set key=`."""
