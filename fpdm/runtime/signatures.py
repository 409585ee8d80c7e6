"""What functions take, looked up once for each of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_NAMES: WeakKeyDictionary[Callable[..., Any], frozenset[str]] = WeakKeyDictionary()


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of a name.

    Args:
        function: or a method, or anything that can be called.
        name: of the parameter.

    Examples:
        >>> takes(sorted, "key"), takes(sorted, "order")
        (True, False)
    """
    own = getattr(function, "__func__", function)  # a method is made anew where it is looked up
    if not inspect.isfunction(own):
        return name in inspect.signature(function).parameters
    found = _NAMES.get(own)
    if found is None:
        found = _NAMES[own] = frozenset(inspect.signature(own).parameters)
    return name in found
