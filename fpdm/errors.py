"""What can go wrong through misuse. A numerical outcome is a `Status`, never an exception."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

SHOWN = 30  # of what there is, in a message


class FPDMError(Exception):
    """The parent of every error that this library raises on purpose."""


class InvalidValueError(FPDMError, ValueError):
    """An argument or option has a value that is not allowed; the message says which are."""


class BudgetError(InvalidValueError):
    """A budget cannot be spent as asked; the message says what it can buy."""


class UnknownNameError(FPDMError, LookupError):
    """Nothing is registered under a name; the message lists what there is."""


class PluginError(FPDMError, RuntimeError):
    """A plugin broke its contract: a bad hook, a bad class, or a wrong count of evaluations.

    Or it raised something at work, which is then the `__cause__`.
    """


class GradientError(FPDMError, RuntimeError):
    """A gradient was asked for that an estimator cannot give."""


class TrainingError(FPDMError, RuntimeError):
    """A training cannot go on; the message says what to do, and its last checkpoint is whole."""


class StorageError(FPDMError, OSError):
    """A file or a folder cannot be written, or another process is using it; nothing is lost.

    Args:
        message: one sentence, which names it.
        errno: of the system, where it has refused; None otherwise.
        path: of the file or folder.
    """

    def __init__(self, message: str, *, errno: int | None = None, path: Any = None) -> None:
        super().__init__(message)
        self.errno = errno
        self.filename = None if path is None else str(path)

    def __str__(self) -> str:
        return str(self.args[0])


class MissingDependencyError(FPDMError, ImportError):
    """A feature needs an extra that is not installed; the message says how to install it."""


class PluginWarning(UserWarning):
    """A plugin could not be loaded, or part of it was refused; everything else goes on."""


class SamplingWarning(UserWarning):
    """Images of a run are not finite; the message says which, and the others are whole."""


class TrainingWarning(UserWarning):
    """Something has gone wrong in a training, which goes on."""


class DataWarning(UserWarning):
    """Something in a folder is left out of a data set, or its classes may be mistaken."""


def suggest(given: str, allowed: Iterable[str]) -> str:
    """The tail of an error message: the nearest allowed name, if one is near, and all of them.

    Of very many the first are listed.

    Args:
        given: the name that is not known.
        allowed: the names there are.

    Returns:
        One or two sentences, of at most 30 names.

    Examples:
        >>> suggest("andersen", ["naive", "anderson"])
        "Did you mean 'anderson'? Available: anderson, naive."
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Available: {listed([*map(shown, names)], SHOWN) or 'none'}."


def shown(name: object) -> str:
    r"""A name in a list, on one line: in quotes where it would be taken for several, or for less.

    Args:
        name: what to show, such as the path of a file.

    Returns:
        The name, or its `repr` where it has commas, blanks at its ends or what cannot be printed.

    Examples:
        >>> print(shown("a b"), shown("a, b"), shown("a\nb"))
        a b 'a, b' 'a\nb'
    """
    text = str(name)
    plain = text.isprintable() and "," not in text and text == text.strip()
    return text if plain else repr(text)


def listed(names: Sequence[object], most: int = 20) -> str:
    """Names in a sentence; of very many, the first.

    Args:
        names: what to list.
        most: how many are listed.

    Returns:
        The names with commas between them, and how many more there are.

    Examples:
        >>> listed([3, 5, 8], 2)
        '3, 5 and 1 more'
    """
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + rest
