"""The options of a component: what there is to say of each, for people and for programs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import NOTHING, frozen
from docstring_parser import DocstringStyle, ParseError, parse

from fpdm.failures import shown

REQUIRED = inspect.Parameter.empty
"""The default of an option that has none."""


@frozen
class Option:
    """An option of a component.

    Attributes:
        name: as it is given.
        type: as it is annotated; empty if it is not.
        default: its value if it is not given; `REQUIRED` if it must be.
        description: what the docstring of the class says of it.
    """

    name: str
    type: str
    default: Any
    description: str

    def __str__(self) -> str:
        return self.name if self.default is REQUIRED else f"{self.name}={literal(self.default)}"


def options(cls: type) -> tuple[Option, ...]:
    """The options of a component, in the order of its fields.

    Args:
        cls: the class that a plugin registered.
    """
    said = _descriptions(cls)
    return tuple(
        Option(name, _annotation(parameter), _default(cls, parameter), said.get(name, ""))
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    )


def literal(value: object) -> str:
    """How a value is written after `name:`, strings in double quotes.

    Args:
        value: the value of an option.
    """
    return f'"{value}"' if isinstance(value, str) else shown(value)


def plain(value: object) -> Any:
    """The same value in JSON; text where it has nothing like it.

    Args:
        value: the value of an option.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(inner) for inner in value]
    return shown(value)


def _annotation(parameter: inspect.Parameter) -> str:
    if parameter.annotation is parameter.empty:
        return ""
    if isinstance(parameter.annotation, str):
        return parameter.annotation
    return inspect.formatannotation(parameter.annotation)


def _default(cls: Any, parameter: inspect.Parameter) -> Any:
    """The default, also where attrs makes a fresh one for each object."""
    if parameter.default is not NOTHING:
        return parameter.default
    made = next(field.default for field in cls.__attrs_attrs__ if field.alias == parameter.name)
    return made if made.takes_self else made.factory()


def _descriptions(cls: type) -> dict[str, str]:
    try:
        said = parse(inspect.getdoc(cls) or "", style=DocstringStyle.GOOGLE).params
    except ParseError:  # a section that is written otherwise
        return {}
    return {each.arg_name: " ".join((each.description or "").split()) for each in said}
