"""Backpropagation through the whole solve."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import whole
from fpdm.interfaces import FixedPointSolver, GradientEstimator
from fpdm.solution import Solution


@frozen
class Unrolled(GradientEstimator):
    """Plain autograd through every iteration, the start included. Memory grows with `evals`.

    Source: Werbos, Backpropagation through time: what it does and how to do it, Proc. IEEE 78
    (1990).

    Args:
        evals: iterations, ≥ 1.

    Raises:
        InvalidValueError: `evals` is not allowed.
    """

    name: ClassVar[str] = "unrolled"

    evals: int = field(default=12, validator=whole(minimum=1))

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        z0: Tensor,
        solver: FixedPointSolver,
        generator: torch.Generator | None = None,
    ) -> Solution:
        """Solve; nothing is drawn at random."""
        del generator
        return solver.solve(f, z0, evals=self.evals)
