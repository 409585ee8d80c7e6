"""Linear ramps: more iterations towards one end of the sampling."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from fpdm.allocator import WeightedAllocation


def ramp(steps: int) -> list[float]:
    """Weights from 0.5 to 1.5 in equal strides; a single timestep weighs 1."""
    if steps == 1:
        return [1.0]
    return [0.5 + step / (steps - 1) for step in range(steps)]


@frozen
class Increasing(WeightedAllocation):
    """More iterations towards the end of the sampling, where the noise is small.

    Weights rise linearly from 0.5 to 1.5. Source: Bai and Melas-Kyriazi, Fixed Point Diffusion
    Models, CVPR 2024.
    """

    name: ClassVar[str] = "increasing"

    def weights(self, steps: int) -> list[float]:
        """The ramp."""
        return ramp(steps)


@frozen
class Decreasing(WeightedAllocation):
    """More iterations at the start of the sampling, where the noise is large.

    Weights fall linearly from 1.5 to 0.5. Source: Bai and Melas-Kyriazi, Fixed Point Diffusion
    Models, CVPR 2024.
    """

    name: ClassVar[str] = "decreasing"

    def weights(self, steps: int) -> list[float]:
        """The ramp, reversed."""
        return ramp(steps)[::-1]
