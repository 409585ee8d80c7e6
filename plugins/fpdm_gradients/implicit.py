"""The exact gradient of a fixed point, by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from fpdm.checks import whole
from fpdm.errors import GradientError
from fpdm.interfaces import FixedPointSolver, GradientEstimator
from fpdm.solution import Solution, join


@frozen
class Implicit(GradientEstimator):
    """Solve without gradient, then solve the adjoint equation `u = Jᵀ u + g` in the backward pass.

    `J` is the Jacobian of `f` at the solution and `g` the gradient that arrives there; `u` is what
    flows on into `f`. It is solved with the same solver, each evaluation one vector-Jacobian
    product. Memory does not depend on the depth of the solve. Second derivatives are not
    available. Source: Bai, Kolter and Koltun, Deep equilibrium models, NeurIPS 2019.

    Args:
        evals: evaluations of `f`, ≥ 1; the last one carries the gradient.
        backward_evals: vector-Jacobian products in the backward pass, ≥ 1.

    Raises:
        InvalidValueError: a count is not allowed.
        GradientError: in the backward pass, if a second derivative is asked for.
    """

    name: ClassVar[str] = "implicit"

    evals: int = field(default=24, validator=whole(minimum=1))
    backward_evals: int = field(default=24, validator=whole(minimum=1))

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        z0: Tensor,
        solver: FixedPointSolver,
        generator: torch.Generator | None = None,
    ) -> Solution:
        """Solve; nothing is drawn at random."""
        del generator
        with torch.no_grad():
            solution = solver.solve(f, z0.detach(), evals=self.evals - 1)
        point = solution.value.detach().requires_grad_(torch.is_grad_enabled())
        last = solver.solve(f, point, evals=1)
        value = last.value
        if value.requires_grad:
            value = _Adjoint.apply(value, point, solver, self.backward_evals)
        return evolve(join(solution, last), value=value)


class _Adjoint(torch.autograd.Function):
    """The identity, whose backward pass solves the adjoint equation."""

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, point: Tensor, solver: FixedPointSolver, evals: int
    ) -> Tensor:
        ctx.image, ctx.point, ctx.solver, ctx.evals = image, point, solver, evals
        return image.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():
            raise GradientError(
                "The implicit gradient cannot be differentiated again: leave out create_graph, or "
                "use the gradient 'unrolled'."
            )

        def pulled_back(u: Tensor) -> Tensor:
            (vjp,) = torch.autograd.grad(ctx.image, ctx.point, u, retain_graph=True)
            return vjp + gradient

        u = ctx.solver.solve(pulled_back, gradient, evals=ctx.evals).value
        return u, None, None, None
