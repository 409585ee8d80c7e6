"""The options of a component: what its class takes, and what an object of it was given."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import attrs

from fpdm.errors import PluginError

FREE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
"""Of parameters that have no name of their own."""


@lru_cache(maxsize=256)  # by name one is made for each run
def parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    """The options that a class takes by name, in their order; also those that it hands on.

    Args:
        cls: of a component; where its `__init__` takes `**options`, those that a base takes by
            keyword, with a default, are among them.
    """
    taken = inspect.signature(cls).parameters
    found = {name: each for name, each in taken.items() if each.kind not in FREE}
    if any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        for base in cls.__mro__[1:-1]:
            handed = inspect.signature(base).parameters if "__init__" in vars(base) else {}
            found |= {
                name: each
                for name, each in handed.items()
                if each.kind is each.KEYWORD_ONLY and each.default is not each.empty
                if name not in found
            }
    return MappingProxyType(found)


def chosen(cls: type, given: Collection[str] = ()) -> list[inspect.Parameter]:
    """The options of a class that its user chooses, in their order.

    Args:
        cls: of a component.
        given: arguments that who builds it knows.
    """
    return [each for name, each in parameters(cls).items() if name not in given]


def values(component: object) -> dict[str, Any]:
    """The options of a component with their values: what its class would have to be given again.

    Args:
        component: an object of a class made by attrs, or of another one that keeps each of its
            options as an attribute of the same name.

    Raises:
        PluginError: an option is not kept.
    """
    cls: type = type(component)
    fields = attrs.fields(cls) if attrs.has(cls) else ()
    attributes = {field.alias: field.name for field in fields}
    found = {}
    for name in parameters(cls):
        attribute = attributes.get(name, name)
        if not hasattr(component, attribute):
            raise PluginError(
                f"{cls.__name__} does not keep its option {name} as an attribute, so it cannot be "
                f"saved; make {name} a field, by `@attrs.frozen`."
            )
        value = getattr(component, attribute)
        found[name] = attrs.asdict(value) if attrs.has(type(value)) else value
    return found
