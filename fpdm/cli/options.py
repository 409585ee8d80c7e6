"""The options of a component: what there is to say of each, for people and for programs."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from docstring_parser import DocstringStyle, ParseError, parse

from fpdm.cli.notation import PYTHON
from fpdm.plugins.components import KINDS
from fpdm.plugins.failures import one_line, shown
from fpdm.plugins.options import chosen, values

MOST = 1_000
"""Entries of a default that JSON still has as a list."""


@frozen
class Option:
    """An option of a component.

    Attributes:
        name: as it is given.
        type: as it is annotated; empty if it is not.
        default: its value if it is not given; None where it must be.
        description: what the docstring of the class says of it.
        required: whether it must be given.
    """

    name: str
    type: str
    default: Any
    description: str
    required: bool = False

    def __str__(self) -> str:
        return f"{self.name}={'…' if self.required else literal(self.default)}"


def options(cls: type, kind: str = "") -> tuple[Option, ...]:
    """The options of a component, in the order of its fields.

    Args:
        cls: the class that a plugin registered.
        kind: of component; empty where nothing but its options is needed to build it.
    """
    late, given = (KINDS[kind].late, KINDS[kind].given) if kind else (False, ())
    said, built = _descriptions(cls), {} if late else values(cls())
    return tuple(
        Option(
            each.name,
            _annotation(each),
            None if each.default is each.empty else built.get(each.name, each.default),
            said.get(each.name, ""),
            required=each.default is each.empty,
        )
        for each in chosen(cls, given)
    )


def literal(value: object) -> str:
    """How a value is shown: as it is written after `name:`, or else in one line.

    Args:
        value: the value of an option.
    """
    written = PYTHON.exact(value)
    if written is not None:
        return written
    return f'"{one_line(value)}"' if isinstance(value, str) else shown(value)


def plain(value: object) -> Any:
    """The same value in JSON; text where it has nothing like it.

    Args:
        value: the value of an option.
    """
    try:
        found = _plain(value)
        json.dumps(found)
    except KeyboardInterrupt:
        raise
    except BaseException:  # it holds itself, has too many digits, or raises where one looks
        return shown(value)
    return found


def _plain(value: object) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping) and len(value) <= MOST:
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, range)) and len(value) <= MOST:
        return [_plain(inner) for inner in value]
    return shown(value)


def _annotation(parameter: inspect.Parameter) -> str:
    if parameter.annotation is parameter.empty:
        return ""
    if isinstance(parameter.annotation, str):
        return parameter.annotation
    return inspect.formatannotation(parameter.annotation)


def _descriptions(cls: type) -> dict[str, str]:
    try:
        said = parse(inspect.getdoc(cls) or "", style=DocstringStyle.GOOGLE).params
    except ParseError:  # a section that is written otherwise
        return {}
    return {each.arg_name: " ".join((each.description or "").split()) for each in said}
