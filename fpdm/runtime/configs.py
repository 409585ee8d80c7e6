"""Files that people write, in TOML: found by name or by path, and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpdm.errors import InvalidValueError, UnknownNameError, suggest
from fpdm.runtime.toml import read_toml

LARGEST = 2**20
"""Bytes beyond which a file is none that a person has written."""


def find(source: str | Path, *, packaged: Path, beside: Path, what: str) -> Path:
    """The file that is meant.

    Args:
        source: a TOML file, or the name of one that comes with the package.
        packaged: the folder of those.
        beside: the folder from which paths go out.
        what: what such files are called.

    Returns:
        Its path.

    Raises:
        UnknownNameError: there is no such file.
    """
    if "\0" not in str(source) and (path := beside / source).is_file():
        return path
    path = packaged / f"{source}.toml"
    if "\0" in str(source) or not path.is_file():
        names = [found.stem for found in packaged.glob("*.toml")]
        raise UnknownNameError(
            f"There is no file or {what} {str(source)!r}. {suggest(str(source), names)}"
        )
    return path


def read(path: Path, *, what: str) -> dict[str, Any]:
    """Read the tables of a file, of which nothing is checked yet.

    Args:
        path: of it.
        what: what such files are called.

    Returns:
        Tables by name.

    Raises:
        InvalidValueError: it cannot be read.
    """
    if path.stat().st_size > LARGEST:
        raise InvalidValueError(f"{path} has more than {LARGEST} bytes: it is no {what}.")
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise InvalidValueError(f"{path} cannot be read as TOML: {error}.") from error
