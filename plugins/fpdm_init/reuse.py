"""A timestep starts where the one before ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from attrs import frozen
from torch import Tensor

from fpdm.interfaces import InitStrategy
from fpdm.solution import Moment, Visited


@frozen
class Reuse(InitStrategy):
    """`z0 = z*` of the timestep before: neighbours differ by little noise (warm start).

    The first timestep starts from its features. Source: Bai and Melas-Kyriazi, Fixed Point
    Diffusion Models, CVPR 2024.
    """

    name: ClassVar[str] = "reuse"
    lookback: ClassVar[int] = 1

    def initial(self, features: Tensor, history: Sequence[Visited], moment: Moment) -> Tensor:
        """Return the last solution, if there is one."""
        del moment
        return history[-1].solution.value if history else features
