"""Phantom gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import real, whole
from fpdm.interfaces import FixedPointSolver, GradientEstimator
from fpdm.plugins import solver as named_solver
from fpdm.solution import Solution
from fpdm_gradients.truncated import truncated


@frozen
class Phantom(GradientEstimator):
    """Solve without gradient, then backpropagate through a few damped iterations.

    The damped steps unroll a truncated, damped Neumann series of the inverse Jacobian. Source:
    Geng et al., On training implicit models, NeurIPS 2021.

    Args:
        no_grad: iterations of the solver, ≥ 0.
        grad: damped iterations with gradient, ≥ 1.
        damping: their step, in (0, 1].

    Raises:
        InvalidValueError: an option is not allowed.
    """

    name: ClassVar[str] = "phantom"

    no_grad: int = field(default=8, validator=whole(minimum=0))
    grad: int = field(default=4, validator=whole(minimum=1))
    damping: float = field(default=0.5, validator=real(above=0, maximum=1))

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        z0: Tensor,
        solver: FixedPointSolver,
        generator: torch.Generator | None = None,
    ) -> Solution:
        """Solve; nothing is drawn at random."""
        del generator
        damped = named_solver("naive", damping=self.damping)
        return truncated(f, z0, before=(solver, self.no_grad), after=(damped, self.grad))
