"""Where a configuration is written: a file, or one that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpdm.errors import InvalidValueError, UnknownNameError, suggest
from fpdm.runtime.toml import read_toml

CONFIGS = Path(__file__).parent / "configs"
LARGEST = 2**20
"""Bytes beyond which a file is no configuration."""


def read_source(source: str | Path) -> dict[str, Any]:
    """Read the tables of a configuration, of which nothing is checked yet.

    Args:
        source: a TOML file, or the name of one that comes with the package.

    Returns:
        Tables by name.

    Raises:
        InvalidValueError: the file cannot be read.
        UnknownNameError: there is no such file or configuration.
    """
    path = Path(source)
    if not path.is_file():
        path = CONFIGS / f"{source}.toml"
    if "\0" in str(source) or not path.is_file():
        names = [found.stem for found in CONFIGS.glob("*.toml")]
        raise UnknownNameError(
            f"There is no file or configuration {str(source)!r}. {suggest(str(source), names)}"
        )
    if path.stat().st_size > LARGEST:
        raise InvalidValueError(f"{path} has more than {LARGEST} bytes: it is no configuration.")
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise InvalidValueError(f"{path} cannot be read as TOML: {error}.") from error
