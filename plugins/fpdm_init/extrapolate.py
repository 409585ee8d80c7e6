"""A timestep starts a step further along the path of the last two solutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from attrs import field, frozen
from torch import Tensor

from fpdm.checks import real
from fpdm.interfaces import InitStrategy
from fpdm.solution import Solution


@frozen
class Extrapolate(InitStrategy):
    """`z0 = z₋₁ + step (z₋₁ - z₋₂)`, from the solutions of the last two timesteps.

    With one past solution this is `reuse`, with none `features`. A step feeds the error of each
    solve into the next: with `(1 + 2 step) Lᵏ < 1`, where an iteration shrinks errors by `L` and
    there are `k` of them, it dies out. At one iteration per timestep a step of 0.5 or more is worse
    than `reuse`.
    Source: the rule is this library's own.

    Args:
        step: how far to go on, in [0, 1].

    Raises:
        InvalidValueError: `step` is not allowed.
    """

    name: ClassVar[str] = "extrapolate"
    lookback: ClassVar[int] = 2

    step: float = field(default=0.5, validator=real(minimum=0, maximum=1))

    def initial(self, features: Tensor, history: Sequence[Solution]) -> Tensor:
        """Return the extrapolated start."""
        if not history:
            return features
        last = history[-1].value
        return last.lerp(history[-2].value, -self.step) if len(history) > 1 else last
