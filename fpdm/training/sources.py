"""Where a configuration is written: a file, or one that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpdm.errors import InvalidValueError, UnknownNameError, suggest
from fpdm.runtime.toml import read_toml

BASE = "base"
"""The key that names the configuration on which a file builds."""

CONFIGS = Path(__file__).parent / "configs"
LARGEST = 2**20
"""Bytes beyond which a file is no configuration."""


def read_sources(source: str | Path) -> list[dict[str, Any]]:
    """Read a configuration and those on which it builds, of which nothing is checked yet.

    A file may name another in `base`: one that comes with the package, or one beside it.

    Args:
        source: a TOML file, or the name of one that comes with the package.

    Returns:
        Tables by name, of each file, the one on which all build first.

    Raises:
        InvalidValueError: a file cannot be read, or files build on one another in a circle.
        UnknownNameError: there is no such file or configuration.
    """
    path = _find(source, beside=Path())
    read: dict[Path, dict[str, Any]] = {}
    while (file := path.resolve()) not in read:
        tables = read[file] = _read(path)
        if BASE not in tables:
            return list(reversed(read.values()))
        base = tables.pop(BASE)
        if not isinstance(base, str) or not base:
            raise InvalidValueError(f"{path}: base={base!r}: must name a configuration or a file.")
        path = _find(base, beside=path.parent)
    raise InvalidValueError(f"{path} builds on itself: leave out `base` in one of the files.")


def _find(source: str | Path, *, beside: Path) -> Path:
    """The file of a configuration."""
    if "\0" not in str(source) and (path := beside / source).is_file():
        return path
    path = CONFIGS / f"{source}.toml"
    if "\0" in str(source) or not path.is_file():
        names = [found.stem for found in CONFIGS.glob("*.toml")]
        raise UnknownNameError(
            f"There is no file or configuration {str(source)!r}. {suggest(str(source), names)}"
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise InvalidValueError(f"{path} has more than {LARGEST} bytes: it is no configuration.")
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise InvalidValueError(f"{path} cannot be read as TOML: {error}.") from error
