"""What a plugin did wrong, and where: a value, so that everything else goes on."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from attrs import frozen

from fpdm.errors import FPDMError
from fpdm.plugins.components import Origin

LONGEST = 200  # characters of what a stranger wrote


@frozen
class Failure:
    """A plugin, or one class of it, that was refused, and why.

    Attributes:
        origin: the plugin, with the entry point that names it.
        reason: in one line.
        file: where it went wrong, as far as that is known.
        line: likewise.
    """

    origin: Origin
    reason: str
    file: Path | None = None
    line: int | None = None

    @classmethod
    def of(cls, origin: Origin, error: BaseException) -> Failure:
        """The failure that an exception is: its type, its message, and its line in the plugin.

        Args:
            origin: the plugin.
            error: what it raised, or what was raised of it.
        """
        try:
            file, line = _place(origin, error)
        except Exception:  # an exception that lies about where it was raised
            file = line = None
        return cls(origin, _reason(error), file, line)

    @property
    def outcome(self) -> str:
        """The end of a sentence: that it failed, why, and where."""
        line = "" if self.line is None else f", line {self.line}"
        place = "" if self.file is None else f" ({self.file}{line})"
        return f"failed: {self.reason.rstrip('.')}{place}."

    def __str__(self) -> str:
        return f"Plugin {self.origin} {self.outcome}"


def shown(value: object) -> str:
    """What a stranger made, in one line that is not too long, also where its `repr` raises.

    Args:
        value: anything.
    """
    try:
        return one_line(repr(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def module_file(module: str) -> Path | None:
    """The file of a module that has been imported; None if it has not, or has none.

    Args:
        module: its name.
    """
    found = vars(sys.modules[module]).get("__file__") if module in sys.modules else None
    return Path(found) if isinstance(found, str) else None


def _reason(error: BaseException) -> str:
    kind = type(error).__name__
    try:
        said = one_line(error.msg if isinstance(error, SyntaxError) else str(error))
    except KeyboardInterrupt:
        raise
    except BaseException:  # a message that raises, whatever it is
        said = ""
    if said and isinstance(error, FPDMError):
        return said
    return f"{kind}: {said}" if said else kind


def one_line(text: str) -> str:
    """A stranger's text as one line that is not too long, of what can be printed.

    Args:
        text: of any length.
    """
    line = " ".join(text[: 2 * LONGEST].split())
    shown = "".join(letter if letter.isprintable() else "�" for letter in line)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def _place(origin: Origin, error: BaseException) -> tuple[Path | None, int | None]:
    """The innermost line of the plugin's own package that was running, or else its module."""
    if isinstance(error, SyntaxError) and error.filename:
        return Path(error.filename), None if error.lineno is None else int(error.lineno)
    top = origin.module.partition(".")[0]
    own = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == top
    ]
    return own[-1] if own else (module_file(origin.module), None)
