"""What a solve looked like from one evaluation to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from fpdm import plugins
from fpdm.counting import Evaluation, Watched
from fpdm.interfaces import FixedPointSolver
from fpdm.plugins import Spec
from fpdm.plugins.blame import ask
from fpdm.solution import Solution


def trace(
    solver: Spec | FixedPointSolver,
    f: Callable[[Tensor], Tensor],
    x0: Tensor,
    *,
    evals: int,
    tol: float | None = None,
) -> Solution:
    """Solve, and note the residual of every evaluation in `Solution.trace`.

    It works with any solver, for it watches `f`. Each evaluation costs two more passes over the
    state, so sampling does not do it by itself.

    Args:
        solver: a name, a mapping with options, or an object.
        f: as in [`FixedPointSolver.solve`][fpdm.FixedPointSolver.solve], and so are the rest.
        x0: where to start; (B, ...).
        evals: evaluations granted.
        tol: a relative residual at which a sample stops.

    Returns:
        The solution, whose `trace` is the relative residual of each evaluation made, (evals, B), in
        their order; `inf` where an image was not finite.

    Raises:
        InvalidValueError: `evals` is negative, or `tol` is not positive.
        UnknownNameError: no solver has such a name.

    Examples:
        >>> import torch, fpdm
        >>> solution = fpdm.trace("anderson", lambda z: z.cos(), torch.zeros(1), evals=6)
        >>> [f"{residual:.0e}" for residual in solution.trace[:, 0].tolist()]
        ['1e+00', '9e-01', '1e-01', '6e-03', '2e-04', '6e-06']
    """
    residuals: list[Tensor] = []

    def watched(z: Tensor) -> Tensor:
        image = f(z)
        if image.shape == z.shape:  # otherwise the solver says what is wrong
            residuals.append(Evaluation(z.detach(), image.detach()).residual)
        return image

    solution = plugins.resolve("solver", solver).solve(watched, x0, evals=evals, tol=tol)
    rows = torch.stack(residuals) if residuals else solution.residual[None][:0]
    return evolve(solution, trace=rows)


@frozen
class Started(FixedPointSolver):
    """A solver whose solutions say how far from a fixed point they started.

    Args:
        solver: what solves.
    """

    solver: FixedPointSolver

    @property
    def name(self) -> str:  # type: ignore[override]
        """That of the solver."""
        return getattr(self.solver, "name", type(self.solver).__name__)

    @property
    def carry(self) -> bool:  # type: ignore[override]
        """Whether the solver carries something."""
        return self.solver.carry

    def blank(self, z0: Tensor) -> Any:
        """What the solver carries that knows nothing.

        Args:
            z0: where a solve starts, (B, ...).
        """
        blank = getattr(self.solver, "blank", None)
        return None if blank is None else blank(z0)

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        evals: int,
        tol: float | None = None,
        **going_on: Any,
    ) -> Solution:
        """Solve as the solver does, and note the residual of the first evaluation.

        Args:
            f: as in [`FixedPointSolver.solve`][fpdm.FixedPointSolver.solve], and so are the rest.
            x0: where to start; (B, ...).
            evals: evaluations granted.
            tol: a relative residual at which a sample stops.
            going_on: the `carry` of the solution before, where the solver takes one.
        """
        watched = Watched(f)
        solution = ask(
            lambda: self.solver.solve(watched, x0, evals=evals, tol=tol, **going_on),
            f=watched,
            solver=self.solver,
        )
        return evolve(solution, start_residual=watched.start_residual)
