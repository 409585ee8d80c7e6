"""How the program ends when something goes wrong."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from cyclopts import CycloptsError, UnusedCliTokensError

from fpdm.cli import console
from fpdm.errors import FPDMError, PluginError, StorageError


@contextmanager
def ending(*, debug: bool) -> Iterator[None]:
    """A context that ends the program with a sentence and an exit code where it cannot go on.

    Args:
        debug: whether to print the traceback before the sentence.
    """
    try:
        yield
        _flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (FPDMError, CycloptsError, OSError, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exception(error)
        hint = "" if debug or not _is_blamed(error) else " Add --debug to see the whole traceback."
        console.error(_sentence(error) + hint)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 2)


def _flush() -> None:
    """Write what is printed while an error can still be told."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StorageError(f"Standard output cannot be written: {error.strerror}.") from error


def _is_blamed(error: BaseException) -> bool:
    """Whether it is what a plugin raised, of which the sentence is only the end."""
    return isinstance(error, PluginError) and error.__cause__ is not None


def _sentence(error: BaseException) -> str:
    if isinstance(error, UnusedCliTokensError):
        return f"Unexpected on the command line: {shlex.join(error.unused_tokens or ())}."
    if isinstance(error, KeyboardInterrupt):
        return "interrupted."
    if isinstance(error, OSError) and not isinstance(error, FPDMError):
        return f"{error.filename or 'standard output'}: {error.strerror or error}."
    return " ".join(str(error).split())
