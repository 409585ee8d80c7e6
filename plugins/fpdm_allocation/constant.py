"""The same number of iterations at every timestep."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from fpdm.allocator import WeightedAllocation


@frozen
class Constant(WeightedAllocation):
    """Equal shares; where the budget does not divide, the last timesteps get one more.

    Source: Bai and Melas-Kyriazi, Fixed Point Diffusion Models, CVPR 2024.
    """

    name: ClassVar[str] = "constant"

    def weights(self, steps: int) -> list[float]:
        """All one."""
        return [1.0] * steps
