"""Checks at the door: attrs validators and functions whose message says what is allowed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from torch import Tensor

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


def check_labels(labels: object, *, like: Tensor | None = None, last: int | None = None) -> None:
    """Check class labels, as far as a look at them does not wait for a device.

    Args:
        labels: what was given in the place of (B,), int64.
        like: the images that they are for, (B, ...); None if these are not known.
        last: the largest label that is allowed; None if that is not known.

    Raises:
        InvalidValueError: they are no such tensor, not on the device of the images, or one is out
            of range.
    """
    import torch  # only where there are tensors, so that commands without any begin at once

    from fpdm import batch

    shape = "(batch,)" if like is None else f"({len(like)},)"
    if not isinstance(labels, torch.Tensor):
        raise InvalidValueError(
            f"class_labels={labels!r}: must be a tensor of shape {shape}, int64, with a label for "
            f"each image."
        )
    if labels.dim() != 1 or (like is not None and len(labels) != len(like)):
        raise InvalidValueError(
            f"class_labels has shape {tuple(labels.shape)}: must be {shape}, one for each image."
        )
    if labels.dtype not in (torch.int64, torch.int32):
        raise InvalidValueError(f"class_labels are {labels.dtype}: must be int64.")
    if like is not None and labels.device != like.device:
        raise InvalidValueError(
            f"class_labels are on {labels.device}, and the images on {like.device}: must be on the "
            f"same device."
        )
    values = batch.look(labels)
    if last is None or values is None or not values.size:
        return
    if not 0 <= values.min() <= values.max() <= last:
        raise InvalidValueError(
            f"class_labels={labels.tolist()}: must be whole numbers from 0 to {last}."
        )


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
