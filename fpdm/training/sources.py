"""Where a configuration is written: a file, or one that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpdm.errors import InvalidValueError
from fpdm.runtime.configs import find, read

BASE = "base"
"""The key that names the configuration on which a file builds."""

CONFIGS = Path(__file__).parent / "configs"
WHAT = "configuration"


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
    path = find(source, packaged=CONFIGS, beside=Path(), what=WHAT)
    found: dict[Path, dict[str, Any]] = {}
    while (file := path.resolve()) not in found:
        tables = found[file] = read(path, what=WHAT)
        if BASE not in tables:
            return list(reversed(found.values()))
        base = tables.pop(BASE)
        if not isinstance(base, str) or not base:
            raise InvalidValueError(f"{path}: base={base!r}: must name a configuration or a file.")
        path = find(base, packaged=CONFIGS, beside=path.parent, what=WHAT)
    raise InvalidValueError(f"{path} builds on itself: leave out `base` in one of the files.")
