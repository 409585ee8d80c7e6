"""Jacobian-free backpropagation."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import whole
from fpdm.interfaces import FixedPointSolver, GradientEstimator
from fpdm.solution import Solution
from fpdm_gradients.truncated import truncated


@frozen
class JFB(GradientEstimator):
    """Solve without gradient, then backpropagate through one more iteration.

    Replaces the inverse Jacobian of the implicit gradient by the identity, which still gives a
    descent direction for a contraction. Source: Fung et al., JFB: Jacobian-free backpropagation
    for implicit networks, AAAI 2022.

    Args:
        no_grad: iterations before the last, ≥ 0.

    Raises:
        InvalidValueError: `no_grad` is not allowed.
    """

    name: ClassVar[str] = "jfb"

    no_grad: int = field(default=11, validator=whole(minimum=0))

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        z0: Tensor,
        solver: FixedPointSolver,
        generator: torch.Generator | None = None,
    ) -> Solution:
        """Solve; nothing is drawn at random."""
        del generator
        return truncated(f, z0, before=(solver, self.no_grad), after=(solver, 1))
