"""The tensors in a value, wherever they stand in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs
from torch import Tensor, nn

Value = TypeVar("Value")


def mapped(value: Value, change: Callable[[Tensor], Tensor]) -> Value:
    """A value with other tensors in it, in the order of `tensors`.

    Args:
        value: tensors, or tuples, lists, mappings and plain objects that hold some.
        change: is given each tensor, and returns the one that takes its place.

    Returns:
        A value of the same kind; what holds no tensor is the same object.
    """
    return _mapped(value, change)


def tensors(value: object) -> list[Tensor]:
    """The tensors in a value.

    Args:
        value: as of `mapped`.

    Returns:
        They, of any shapes, in the order in which they stand.
    """
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(value, note)
    return found


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        new = [_mapped(part, change) for part in value]
        if all(one is other for one, other in zip(new, value, strict=True)):
            return value
        return type(value)(*new) if hasattr(value, "_fields") else type(value)(new)
    if isinstance(value, dict):
        found = {key: _mapped(part, change) for key, part in value.items()}
        return value if all(found[key] is value[key] for key in value) else found
    changed = {name: new for name, old in _parts(value) if (new := _mapped(old, change)) is not old}
    if not changed:
        return value
    fresh = copy.copy(value)
    for name, new in changed.items():
        object.__setattr__(fresh, name, new)  # also of a frozen one
    return fresh


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a plain object; none of a module, a class or a function."""
    if isinstance(value, (nn.Module, type)) or callable(value):
        return
    if attrs.has(type(value)):
        for each in attrs.fields(type(value)):
            yield each.name, getattr(value, each.name)
    else:
        yield from getattr(value, "__dict__", {}).items()
