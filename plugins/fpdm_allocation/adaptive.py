"""Iterations decided while sampling, so that every timestep leaves the picture the same error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import ClassVar

from attrs import field, frozen
from torch import Tensor

from fpdm.calibration import Calibration
from fpdm.checks import real
from fpdm.interfaces import AllocationPolicy
from fpdm.solution import Moment, Solution

FASTEST, SLOWEST = 0.35, 0.8
"""Between these a measured rate is believed: it is of the residual, and in the final picture the
error of an accelerated solve falls more slowly.
"""
LEAST = 0.03
"""Of the greatest weight, below which none counts: the estimate leaves out what later timesteps
make of an error.
"""
SWING = 4.0
"""Times the usual start residual, up to which one that is seen counts."""


@frozen
class Adaptive(AllocationPolicy):
    """As many iterations as each timestep needs to leave the final picture the same error.

    An error of the solution at timestep i changes the final picture by about

        w = α' σ (1 - exp(λ - λ'))

    where α² + σ² = 1 and λ = log(α / σ) are of the process there, and a dash means the next
    timestep: the step to it takes that much of what the network says of the clean image, of which
    v-prediction has the error times σ. It is small where there is noise alone, and near the image.
    With a start residual `s` and a rate ρ per iteration, `w s ρ^k` is left, and the sum of these
    over the run is least where they are equal:

        k = share + (log(w s) - mean of log(w s)) / log(1 / ρ)

    with no k below 1, over all timesteps to come, so that the share is what is left for them. The
    rate is the median of those measured so far. The start residual of this timestep is taken to be
    that of the one before, those of the timesteps to come the usual ones. Both are medians over the
    batch, and reading them waits for the device once per timestep. Where nothing is known of the
    noise, w is 1. Source: this library's own, from the steps of Lu et al., DPM-Solver++, 2022.

    Args:
        rate: of the error per iteration, until one has been measured; from 0.1 to 0.95.

    Raises:
        InvalidValueError: an option is not allowed.
    """

    name: ClassVar[str] = "adaptive"
    watches: ClassVar[bool] = True

    rate: float = field(default=0.5, validator=real(minimum=0.1, maximum=0.95))

    def begin(
        self, moments: Sequence[Moment], *, budget: int, calibration: Calibration | None = None
    ) -> AllocationPolicy:
        """Look at how much each timestep weighs."""
        del budget, calibration
        return _Run(influences(moments), self.rate)

    def iterations(
        self, moment: Moment, *, budget: int, remaining: int, previous: Solution | None
    ) -> float:
        """Return an equal share: a run asks what `begin` returned."""
        del budget, previous
        return remaining / (moment.steps - moment.index)


class _Run(AllocationPolicy):
    """Decides in one run, and keeps what it has seen of it."""

    watches: ClassVar[bool] = True

    def __init__(self, weights: Sequence[float], rate: float) -> None:
        least = LEAST * max(weights)
        self.levels = [math.log(max(weight, least, 1e-9)) for weight in weights]
        self.rate = rate
        self.rates: list[float] = []
        self.starts: list[float] = []

    def iterations(
        self, moment: Moment, *, budget: int, remaining: int, previous: Solution | None
    ) -> float:
        """Return what evens out the error over this timestep and those to come."""
        del budget
        if previous is not None:
            self._look(previous, first=moment.index == 1)
        levels = self.levels[moment.index :]
        if self.starts:
            usual = sum(self.starts) / len(self.starts)
            seen = self.starts[-1] - usual
            levels[0] += min(max(seen, -math.log(SWING)), math.log(SWING))
        rate = median(self.rates) if self.rates else self.rate
        return levelled([level / -math.log(rate) for level in levels], remaining)[0]

    def _look(self, solution: Solution, *, first: bool) -> None:
        """Note how fast the solve before was, and where it started, unless it was the first."""
        start, end = _middle(solution.start_residual), _middle(solution.residual)
        further = float(solution.spent) - 1  # evaluations after that at the start
        if start is not None and end is not None and further > 0:
            rate = (end / start) ** (1 / further)
            self.rates.append(min(max(rate, FASTEST), SLOWEST))
        if start is not None and not first:
            self.starts.append(math.log(start))


def _middle(residual: Tensor | None) -> float | None:
    """The median of residuals, (B,), that are finite and not 0; None where there are none."""
    values: list[float] = [] if residual is None else residual.tolist()
    sound = [value for value in values if 0 < value < math.inf]
    return median(sound) if sound else None


def influences(moments: Sequence[Moment]) -> list[float]:
    """How much of an error of the solution at each timestep reaches the final picture.

    Args:
        moments: of the run, noisiest first.

    Returns:
        A number from 0 to 1 for each; all 1 where the noise of one is not known.
    """
    levels = [moment.log_snr for moment in moments]
    known = [level for level in levels if level is not None]
    if len(known) < len(levels):
        return [1.0] * len(levels)
    found = []
    for level, after in zip(known, [*known[1:], math.inf], strict=True):
        step = -math.expm1(min((level - after) / 2, 0.0)) if after > level else 0.0
        found.append(math.sqrt(_logistic(after) * _logistic(-level)) * step)
    return found


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def levelled(levels: Sequence[float], total: float) -> list[float]:
    """Return numbers ≥ 1 that differ as the levels do, and whose sum is the total.

    Those that would fall below 1 are 1, and the others share the rest: water poured into a vessel.

    Args:
        levels: of any size.
        total: ≥ their number.

    Examples:
        >>> from fpdm_allocation.adaptive import levelled
        >>> levelled([0.0, 2.0, -9.0], 7)
        [2.0, 4.0, 1.0]
    """
    rising = sorted(levels)
    rest, above = float(total), sum(rising)
    for count in range(len(rising), 0, -1):
        shift = (rest - above) / count
        lowest = rising[len(rising) - count]
        if lowest + shift >= 1 or count == 1:
            break
        rest, above = rest - 1, above - lowest
    return [max(1.0, level + shift) for level in levels]
