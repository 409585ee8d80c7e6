"""Iterations along half a wave of the cosine."""

from __future__ import annotations

import math
from typing import ClassVar

from attrs import field, frozen
from fpdm.allocator import WeightedAllocation
from fpdm.checks import real


@frozen
class Cosine(WeightedAllocation):
    """Few iterations at one end of the sampling, many at the other, and a smooth way between.

    The timestep `i` of `T`, noisiest first, weighs `1 - amplitude cos(π (i + ½) / T)`. The weights
    of a run add up to `T`, so the amplitude says how far the ends are from an equal share.

    Args:
        amplitude: in [-1, 1]; above 0 the end of the sampling gets more, below 0 the start, and 0
            is an equal split.

    Raises:
        InvalidValueError: the amplitude is out of its bounds.
    """

    name: ClassVar[str] = "cosine"

    amplitude: float = field(default=0.5, validator=real(minimum=-1, maximum=1))

    def weights(self, steps: int) -> list[float]:
        """Return the weight of each timestep, noisiest first."""
        return [
            1 - self.amplitude * math.cos(math.pi * (step + 0.5) / steps) for step in range(steps)
        ]
