"""Iterations in proportion to shares that the user gives."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import field, frozen

from fpdm.allocator import WeightedAllocation
from fpdm.checks import check_real, row
from fpdm.errors import InvalidValueError


def _shares(_: Any, field: Any, values: Any) -> None:
    del field
    if not isinstance(values, tuple) or not values:
        raise InvalidValueError(f"shares={values!r}: must be a list of numbers ≥ 0.")
    for value in values:
        check_real("shares", value, minimum=0)


@frozen
class Weighted(WeightedAllocation):
    """One share for each timestep; the iterations themselves, where they add up to the budget.

    Source: this library's own.

    Args:
        shares: numbers ≥ 0, noisiest first, one for each timestep. A single one is an equal split.

    Raises:
        InvalidValueError: a share is not allowed, or there are not as many as timesteps.

    Examples:
        >>> import fpdm
        >>> fpdm.allocation("weighted", shares=[1, 3, 2]).plan(budget=6, steps=3)
        (1, 3, 2)
    """

    name: ClassVar[str] = "weighted"

    shares: tuple[float, ...] = field(default=(1.0,), converter=row, validator=_shares)

    def weights(self, steps: int) -> tuple[float, ...]:
        """The shares as they are given."""
        return self.shares * steps if len(self.shares) == 1 else self.shares
