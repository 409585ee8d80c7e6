"""Public names of a package whose modules load when one of them is first used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import import_module
from typing import Any


def lazy(
    package: str, homes: Mapping[str, str], *, modules: Collection[str] = ()
) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package.

    Args:
        package: its name.
        homes: the module that holds each name.
        modules: of the package that are its names too, without an import of their own.

    Returns:
        A function of a name that imports its module; it raises `AttributeError` where there is no
        such name.

    Examples:
        >>> find = lazy("here", {"sqrt": "math"})
        >>> find("sqrt")(9.0)
        3.0
    """

    @cache  # such a name is asked for again at each timestep
    def find(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return find
