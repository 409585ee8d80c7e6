"""Linear ramps: more iterations towards one end of the sampling."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from attrs import frozen

from fpdm.allocator import WeightedAllocation


def ramp(steps: int) -> list[Fraction]:
    """The weights of a ramp from 1/2 to 3/2 in equal strides; a single timestep weighs 1.

    Exact, so that it is never a rounding error of the weights that decides who gets the odd one.

    Args:
        steps: how many timesteps there are, ≥ 1.
    """
    if steps == 1:
        return [Fraction(1)]
    return [Fraction(1, 2) + Fraction(step, steps - 1) for step in range(steps)]


@frozen
class Increasing(WeightedAllocation):
    """More iterations towards the end of the sampling, where the noise is small.

    Weights rise linearly from 1/2 to 3/2. Source: Bai and Melas-Kyriazi, Fixed Point Diffusion
    Models, CVPR 2024.
    """

    name: ClassVar[str] = "increasing"

    def weights(self, steps: int) -> list[Fraction]:
        """The ramp."""
        return ramp(steps)


@frozen
class Decreasing(WeightedAllocation):
    """More iterations at the start of the sampling, where the noise is large.

    Weights fall linearly from 3/2 to 1/2. Source: Bai and Melas-Kyriazi, Fixed Point Diffusion
    Models, CVPR 2024.
    """

    name: ClassVar[str] = "decreasing"

    def weights(self, steps: int) -> list[Fraction]:
        """The ramp, reversed."""
        return ramp(steps)[::-1]
