"""A timestep starts a step further along the path of the last two solutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import choice, real
from fpdm.interfaces import InitStrategy
from fpdm.solution import Moment, Visited


@frozen
class Extrapolate(InitStrategy):
    """`z0 = z₋₁ + step (z₋₁ - z₋₂)`, from the solutions of the last two timesteps.

    With one past solution this is `reuse`, with none `features`. A step feeds the error of each
    solve into the next: with `(1 + 2 step) Lᵏ < 1`, where an iteration shrinks errors by `L` and
    there are `k` of them, it dies out. At one iteration per timestep a step of 0.5 or more is worse
    than `reuse`.

    `by="log-snr"` takes the solutions for points on a line over the log-SNR: the step is scaled by
    the gap to this timestep over the gap between the last two, and is at most 1.
    Source: the rule is this library's own.

    Args:
        step: how far to go on, in [0, 1].
        by: what the solutions are spread over evenly: `step`, or `log-snr`, which is `step` where
            the scheduler does not say it.

    Raises:
        InvalidValueError: `step` or `by` is not allowed.
    """

    name: ClassVar[str] = "extrapolate"
    lookback: ClassVar[int] = 2

    step: float = field(default=0.5, validator=real(minimum=0, maximum=1))
    by: str = field(default="step", validator=choice("step", "log-snr"))

    def initial(self, features: Tensor, history: Sequence[Visited], moment: Moment) -> Tensor:
        """Return the extrapolated start."""
        if not history:
            return features
        last = history[-1].solution.value
        if len(history) == 1:
            return last
        reach = self._reach(history, moment)
        if isinstance(reach, Tensor):
            reach = reach.to(last.dtype)
        return last.lerp(history[-2].solution.value, -reach)

    def _reach(self, history: Sequence[Visited], moment: Moment) -> float | Tensor:
        if self.by == "step":
            return self.step
        moments = history[-2].moment, history[-1].moment, moment
        levels = [each.log_snr for each in moments if each.log_snr is not None]
        if len(levels) < len(moments):
            return self.step
        older, last, now = levels
        behind, ahead = last - older, now - last
        if isinstance(ahead, Tensor):  # in a compiled timestep, which serves all of them
            reach = (self.step * ahead / behind).clamp(max=1.0)
            return torch.where((behind > 0) & (ahead > 0), reach, 0.0)
        return min(1.0, self.step * ahead / behind) if behind > 0 and ahead > 0 else 0.0
