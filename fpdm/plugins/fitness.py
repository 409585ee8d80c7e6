"""Whether a class that a plugin offers can be a component."""

from __future__ import annotations

import re

import attrs

from fpdm.plugins.components import Kind
from fpdm.plugins.failures import shown
from fpdm.plugins.options import chosen, values

NAME = re.compile(r"[^\W_]+([-_.+]+[^\W_]+)*")
"""What can be written before a colon on the command line, and needs no quotes there."""


def unfit(kind: Kind, cls: object) -> str | None:
    """Why a class cannot be a component of a kind; None if it can.

    Args:
        kind: that it was offered as.
        cls: what a plugin offered; what it raises when it is looked at comes through.
    """
    if not (isinstance(cls, type) and kind.base in cls.__mro__):  # issubclass asks strangers
        return f"{kind.hook} returned {shown(cls)}: must be subclasses of {kind.base.__name__}."
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        return f"{cls.__name__} is abstract: it lacks {', '.join(missing)}."
    name = getattr(cls, "name", None)
    if not (isinstance(name, str) and name):
        return f"{cls.__name__} has no name: add `name: ClassVar[str] = ...`."
    if not NAME.fullmatch(name):
        return f"the name {name!r} must be letters and digits, with - _ . or + between."
    if fields := _bare_fields(cls):
        return f"{cls.__name__} has the fields {', '.join(fields)}: add `@attrs.frozen` above it."
    if missing := [name for name in _members(kind) if not _declares(cls, name)]:
        asks = f"fpdm.{kind.interface.__name__} says"
        return f"{cls.__name__} has no {', '.join(missing)}: make each a property, as {asks}."
    needed = [each.name for each in chosen(cls, kind.given) if each.default is each.empty]
    if needed and not kind.may_require:
        return f"{cls.__name__} must be given {', '.join(needed)}: give every option a default."
    isinstance(None, cls)  # better that a metaclass raises now
    if not kind.late:  # those are cheap to build
        values(cls())
    return None


def _bare_fields(cls: type) -> list[str]:
    """The fields of a class that attrs has not made into options."""
    unmade = type(attrs.field())
    return [name for name, value in vars(cls).items() if isinstance(value, unmade)]


def _members(kind: Kind) -> list[str]:
    """What a class of a kind has to declare, where it need not derive from its interface."""
    asked = [] if kind.base is kind.interface else vars(kind.interface)
    return [name for name in asked if isinstance(vars(kind.interface)[name], property)]


def _declares(cls: type, name: str) -> bool:
    annotated = any(name in vars(each).get("__annotations__", {}) for each in cls.__mro__)
    return annotated or hasattr(cls, name)
