"""Whole numbers that must lie within bounds."""

from __future__ import annotations

from torch import Tensor

from fpdm.errors import InvalidValueError


def check_bounds(name: str, values: Tensor, *, maximum: int) -> None:
    """Check that whole numbers are from 0 to `maximum`.

    Args:
        name: what the message calls them.
        values: of any shape, of a dtype of integers.
        maximum: the most that is allowed.

    Raises:
        InvalidValueError: one of them is not.
    """
    if not values.numel():
        return
    low, high = (int(bound) for bound in values.aminmax())
    if low < 0 or high > maximum:
        raise InvalidValueError(f"{name} from {low} to {high}: must be from 0 to {maximum}.")
