"""Checks at the door: attrs validators and functions whose message says what is allowed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from fpdm.errors import InvalidValueError

LARGEST = sys.float_info.max
Validator = Callable[[Any, Any, Any], Any]


def check_whole(name: str, value: object, *, minimum: int, maximum: int | None = None) -> int:
    """Return `value` if it is an integer within the bounds.

    Args:
        name: what the message calls it.
        value: what was given; a bool is no integer.
        minimum: the least that is allowed.
        maximum: the most; None for no bound.

    Raises:
        InvalidValueError: it is none; the message says what is allowed.
    """
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and minimum <= value
        and (maximum is None or value <= maximum)
    ):
        return value
    above = "" if maximum is None else f" and ≤ {maximum}"
    raise InvalidValueError(f"{name}={value!r}: must be a whole number ≥ {minimum}{above}.")


def check_real(
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> float:
    """Return `value` as a float if it is a finite number in `[minimum, maximum]` and > `above`.

    Args:
        name: what the message calls it.
        value: what was given; a bool is no number.
        above: a bound that it must exceed.
        minimum: the least that is allowed.
        maximum: the most.

    Raises:
        InvalidValueError: it is none; the message says what is allowed.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST:
        number = float(value)
        if number > above and minimum <= number <= maximum:
            return number
    bounds = [("> ", above), ("≥ ", minimum), ("≤ ", maximum)]
    stated = [f"{sign}{bound:g}" for sign, bound in bounds if math.isfinite(bound)]
    raise InvalidValueError(
        f"{name}={value!r}: must be a number {' and '.join(stated)}".rstrip() + "."
    )


def check_choice(name: str, value: object, *, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`.

    Args:
        name: what the message calls it.
        value: what was given.
        choices: what is allowed.

    Raises:
        InvalidValueError: it is none of them; the message lists them.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidValueError(f"{name}={value!r}: must be one of {', '.join(choices)}.")
    return value


def flag(_: Any, field: Any, value: Any) -> None:
    """An attrs validator: True or False.

    Raises:
        InvalidValueError: it is neither.
    """
    if not isinstance(value, bool):
        raise InvalidValueError(f"{field.name}={value!r}: must be true or false.")


def whole(*, minimum: int, maximum: int | None = None) -> Validator:
    """An attrs validator: an integer within the bounds.

    Args:
        minimum: the least that is allowed.
        maximum: the most; None for no bound.
    """
    return lambda _, field, value: check_whole(field.name, value, minimum=minimum, maximum=maximum)


def real(
    *, above: float = -math.inf, minimum: float = -math.inf, maximum: float = math.inf
) -> Validator:
    """An attrs validator: a finite number in `[minimum, maximum]` and > `above`.

    Args:
        above: a bound that it must exceed.
        minimum: the least that is allowed.
        maximum: the most.
    """
    return lambda _, field, value: check_real(
        field.name, value, above=above, minimum=minimum, maximum=maximum
    )


def choice(*choices: str) -> Validator:
    """An attrs validator: one of `choices`.

    Args:
        choices: what is allowed.
    """
    return lambda _, field, value: check_choice(field.name, value, choices=choices)
