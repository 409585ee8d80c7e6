"""The options of a component as plain data, checked before it can be built."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from fpdm.errors import FPDMError, InvalidValueError, UnknownNameError, suggest
from fpdm.plugins.components import KINDS
from fpdm.plugins.lookup import describe, host, resolve
from fpdm.plugins.options import chosen

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
    type(None): "nothing",
}
"""What values of plain data are called."""


def plain_options(kind: str, name: str, given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """All options of a component that is built later, with their values, as plain data.

    A component among them is described by its name and all of its own options. A class may say more
    of its options by a class method `check_option(name, value)`, which raises; a class that attrs
    has made says it by validators.

    Args:
        kind: of component, such as `network`.
        name: of the component.
        given: options; the others have their defaults.
        where: what messages call the place where they are given, such as `model`.

    Returns:
        The options in the order of the class.

    Raises:
        UnknownNameError: there is no such component, or none of a name that is an option.
        InvalidValueError: there is no such option, or it is missing, or has a value that is not
            allowed.
    """
    cls = host().get(kind, name)
    found = {each.name: each for each in chosen(cls, KINDS[kind].given)}
    if unknown := [key for key in given if key not in found]:
        raise InvalidValueError(
            f"{where}: there is no {unknown[0]!r}. {suggest(unknown[0], found)}"
        )
    said = hints(cls)
    options: dict[str, Any] = {}
    for key, parameter in found.items():
        value = given.get(key, parameter.default)
        if value is parameter.empty:
            raise InvalidValueError(f"{where}.{key}: is missing, and must be given.")
        hint = said.get(key, Any)
        if words := _unlike(value, hint):
            raise InvalidValueError(f"{where}.{key}: {value!r}: must be {words}.")
        try:
            options[key] = _plain(cls, key, value, hint)
        except UnknownNameError as error:
            raise UnknownNameError(f"{where}: {error}") from error
        except FPDMError as error:
            raise InvalidValueError(f"{where}: {error}") from error
    return options


def _unlike(value: object, hint: Any) -> str:
    """What a value must be, where it is of none of the types that an annotation allows."""
    allowed = _arms(hint)
    taken = [plain for each in allowed for plain in _plain_types(each)]
    components = any(kind.interface in allowed for kind in KINDS.values())
    if Any in allowed or components or not taken or any(_is(value, each) for each in taken):
        return ""
    return " or ".join(dict.fromkeys(WORDS[each] for each in taken))


def _arms(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _plain(cls: type, name: str, value: Any, hint: Any) -> Any:
    """One option, checked as far as its class says what it may be."""
    allowed = _arms(hint)
    for kind in KINDS.values():
        if kind.interface in allowed:
            return describe(resolve(kind.name, value))
    if hasattr(cls, "check_option"):
        cls.check_option(name, value)
    elif attrs.has(cls):
        field = next((each for each in attrs.fields(cls) if each.alias == name), None)
        if field is not None and field.validator and not field.converter:
            with suppress(AttributeError):  # of a validator that asks the object, made later
                field.validator(None, field, value)
    return float(value) if allowed == (float,) else value


def _plain_types(hint: Any) -> tuple[type, ...]:
    """The types of plain data that an annotation allows."""
    origin = get_origin(hint) or hint
    if not isinstance(origin, type):
        return ()
    if origin is not dict and issubclass(origin, Mapping):
        return (dict,)
    if issubclass(origin, (tuple, list)):
        return (list,)
    return (origin,) if origin in WORDS else ()


def _is(value: object, plain: type) -> bool:
    if plain is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if plain is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, (list, tuple) if plain is list else plain)


def hints(cls: type) -> dict[str, Any]:
    """The annotations of what a class takes, by name; none where they cannot be read.

    Args:
        cls: of a component.
    """
    try:
        if attrs.has(cls):
            attrs.resolve_types(cls)
            return {each.alias: _taken(each) for each in attrs.fields(cls)}
        return get_type_hints(inspect.unwrap(cls.__init__))  # type: ignore[misc]
    except (NameError, TypeError):  # of names that are imported for a type checker alone
        return {}


def _taken(field: attrs.Attribute[Any]) -> Any:
    """What a field of attrs takes: where it is converted, what the converter does."""
    if field.converter is None:
        return field.type
    hints = get_type_hints(field.converter)
    return next((hint for name, hint in hints.items() if name != "return"), Any)
