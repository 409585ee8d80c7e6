"""Checks at the door: attrs validators and functions whose message says what is allowed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
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


def check_extents(name: str, value: object) -> tuple[int, ...]:
    """Return the extents of a sample beside its channels.

    Args:
        name: what the message calls them.
        value: a whole number, of which both sides of a square are as long; or one for each
            dimension: `()` of a point, `(L,)` of a signal, `(H, W)` of an image, `(D, H, W)` of a
            volume.

    Returns:
        As many whole numbers ≥ 1 as there are dimensions.

    Raises:
        InvalidValueError: it is neither.

    Examples:
        >>> check_extents("sample_size", 8), check_extents("sample_size", [4, 8])
        ((8, 8), (4, 8))
    """
    if isinstance(value, int):
        return (check_whole(name, value, minimum=1),) * 2
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidValueError(
            f"{name}={value!r}: must be a whole number ≥ 1, or one for each dimension, as (4, 8)."
        )
    return tuple(check_whole(name, each, minimum=1) for each in value)


def sample_shape(config: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of one sample of a network, channels first.

    Args:
        config: of the network; its `in_channels` and `sample_size`, which is that of a point where
            there is none.

    Returns:
        (C, …).

    Raises:
        InvalidValueError: there are no channels, or they are not allowed.
    """
    if "in_channels" not in config:
        raise InvalidValueError(
            "The configuration of the network has no in_channels: let its __init__ take it, under "
            "@register_to_config."
        )
    extents = check_extents("sample_size", config.get("sample_size", ()))
    return (check_whole("in_channels", config["in_channels"], minimum=1), *extents)


def shows(sample: tuple[int, ...]) -> bool:
    """Whether a sample of a shape can be looked at as it is.

    Args:
        sample: its shape, (C, …).

    Returns:
        Whether it has a height and a width, and one channel, of a grey image, or three colours.
    """
    return len(sample) == 3 and sample[0] in (1, 3)


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


def check_condition(
    condition: object, *, size: tuple[int, ...], like: Tensor | None = None, null: bool = False
) -> None:
    """Check what a network is told, as far as a look at it does not wait for a device.

    Args:
        condition: in the place of (B, *size), of real numbers.
        size: of one: `(K,)`, or `(T, K)`.
        like: the samples that it is for, (B, C, …); None if these are not known.
        null: whether NaN is allowed, which stands for none.

    Raises:
        InvalidValueError: it is no such tensor, or holds inf or NaN.
    """
    import numpy as np
    import torch

    from fpdm import batch

    rows = "batch" if like is None else str(len(like))
    wanted = f"({', '.join(map(str, (rows, *size)))})"
    if not isinstance(condition, torch.Tensor) or not condition.is_floating_point():
        found = condition.dtype if isinstance(condition, torch.Tensor) else type(condition).__name__
        raise InvalidValueError(
            f"condition is {found}: must be a tensor of real numbers of shape {wanted}."
        )
    fits = condition.dim() == len(size) + 1 and condition.shape[1:] == size
    if not fits or (like is not None and len(condition) != len(like)):
        raise InvalidValueError(f"condition has shape {tuple(condition.shape)}: must be {wanted}.")
    if like is not None and condition.device != like.device:
        raise InvalidValueError(
            f"condition is on {condition.device}, and the samples on {like.device}: must be on the "
            f"same device."
        )
    values = None if null else batch.look(condition.detach().float())
    if values is not None and not np.isfinite(values).all():
        raise InvalidValueError("condition holds NaN or inf: must be finite.")


def row(value: Any) -> Any:
    """An attrs converter: a list, as JSON has it, to a tuple; anything else as it is.

    Args:
        value: a list, or what a validator will refuse.
    """
    return tuple(value) if isinstance(value, list) else value


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
