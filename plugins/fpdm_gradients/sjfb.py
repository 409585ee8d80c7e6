"""Stochastic Jacobian-free backpropagation."""

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
class SJFB(GradientEstimator):
    """Draw `n ~ U{0..max_no_grad}` and `m ~ U{1..max_grad}`; backpropagate through the last m.

    n iterations run without gradient, then m with. Memory is bounded by `max_grad` however deep
    the solve, and the network learns to be useful at any number of iterations.

    Source: Bai and Melas-Kyriazi, Fixed Point Diffusion Models, CVPR 2024.

    Args:
        max_no_grad: the most iterations without gradient, ≥ 0.
        max_grad: the most iterations with gradient, ≥ 1.

    Raises:
        InvalidValueError: a count is not allowed.
    """

    name: ClassVar[str] = "sjfb"

    max_no_grad: int = field(default=10, validator=whole(minimum=0))
    max_grad: int = field(default=12, validator=whole(minimum=1))

    def draw(self, generator: torch.Generator | None = None) -> tuple[int, int]:
        """Return n and m, each with equal chances.

        Args:
            generator: a CPU generator; None is the global one.
        """
        no_grad = torch.randint(0, self.max_no_grad + 1, (), generator=generator)
        grad = torch.randint(1, self.max_grad + 1, (), generator=generator)
        return int(no_grad), int(grad)

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        z0: Tensor,
        solver: FixedPointSolver,
        generator: torch.Generator | None = None,
    ) -> Solution:
        """Draw the counts and solve."""
        no_grad, grad = self.draw(generator)
        return truncated(f, z0, before=(solver, no_grad), after=(solver, grad))
