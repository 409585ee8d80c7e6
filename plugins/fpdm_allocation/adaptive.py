"""Iterations decided while sampling, from the residual that the last solve left."""

from __future__ import annotations

import math
from typing import ClassVar

from attrs import field, frozen

from fpdm.checks import real
from fpdm.interfaces import AllocationPolicy
from fpdm.solution import Moment, Solution


@frozen
class Adaptive(AllocationPolicy):
    """More iterations after a timestep that ended far from its fixed point, fewer after a near one.

    Plain iteration shrinks the residual by a factor per evaluation, so the evaluations that were
    missing or left over are proportional to the logarithm of what is left. From the median
    residual `r` of the batch,

        iterations = share * clip(1 + gain * log10(r / target), 1 / 2, 2)

    where `share` is what each timestep to come would get of an equal split. Saved iterations raise
    the later shares. Reading the residual waits for the device once per timestep. Source: the rule
    is this library's own.

    Args:
        target: the relative residual that deserves an equal share, > 0.
        gain: change of the share for a residual ten times larger, ≥ 0; 0 is an equal split.

    Raises:
        InvalidValueError: an option is not allowed.
    """

    name: ClassVar[str] = "adaptive"

    target: float = field(default=0.1, validator=real(above=0))
    gain: float = field(default=1.0, validator=real(minimum=0))

    def iterations(
        self, moment: Moment, *, budget: int, remaining: int, previous: Solution | None
    ) -> float:
        """Return the share of this timestep, scaled by the residual before it."""
        del budget
        share = remaining / (moment.steps - moment.index)
        if previous is None:
            return share
        residuals = previous.residual.nan_to_num(nan=math.inf, posinf=math.inf)
        residual = float(residuals.median()) if len(residuals) else self.target
        level = math.log10(min(max(residual / self.target, 1e-9), 1e9))
        return share * min(max(1 + self.gain * level, 0.5), 2)
