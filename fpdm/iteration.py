"""The loop that most solvers share, so that an algorithm is only its mathematics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from fpdm import batch
from fpdm.checks import check_real, check_whole
from fpdm.counting import Counted
from fpdm.interfaces import FixedPointSolver
from fpdm.solution import Solution, Status


class Monitor(Counted):
    """`f` under watch: counted, with the residual of each sample, and safe from inf and NaN.

    A sample whose image is not finite is answered with the point that was asked about, from then
    on and for ever: to the solver it looks solved, and it touches no other sample.

    Args:
        f: maps a tensor to one of its own shape and dtype.
        x0: where the solve starts; (B, ...).
        granted: how many calls are allowed.
        tol: the relative residual at which a sample is converged and its record closed.

    Attributes:
        gap: `‖f(z) - z‖` of each sample at its last open evaluation; (B,).
        residual: the same relative to `‖f(z)‖`; (B,).
        finite: whether every image of the sample was finite; (B,).
        converged: whether the sample's residual has reached `tol`; (B,).
    """

    def __init__(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        granted: int,
        tol: float | None = None,
    ) -> None:
        super().__init__(f, granted=check_whole("evals", granted, minimum=0))
        self.tol = None if tol is None else check_real("tol", tol, above=0)
        self.gap = torch.full_like(batch.norm(x0.detach()), torch.inf)
        self.residual = self.gap
        self.finite = torch.ones_like(self.gap, dtype=torch.bool)
        self.converged = ~self.finite

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, note the residuals, and keep what is not finite out of the answer."""
        image = super().__call__(z)
        with torch.no_grad():
            wide = batch.wide(z.dtype)
            gap = batch.norm(image.to(wide) - z.to(wide)).nan_to_num(nan=torch.inf)
            size = batch.norm(image)
            self.finite = self.finite & (size.isfinite() | self.converged)
            size = size.clamp_min(torch.finfo(size.dtype).tiny)
            open_ = self.finite & ~self.converged
            self.gap = torch.where(open_, gap, self.gap)
            self.residual = torch.where(open_, gap / size, self.residual)
            if self.tol is not None:
                self.converged = self.converged | (open_ & (self.residual <= self.tol))
        return batch.select(self.finite, image, z)

    def solution(self, value: Tensor, residual: Tensor | None = None) -> Solution:
        """The `Solution` that reports `value` together with what was seen on the way.

        Args:
            value: the approximation, (B, ...).
            residual: of the evaluation it was made from, (B,); None is the last.
        """
        residual = self.residual if residual is None else residual
        status = torch.where(self.converged, int(Status.CONVERGED), int(Status.BUDGET_SPENT))
        status = torch.where(self.finite, status, int(Status.NON_FINITE))
        return Solution(value=value, evals=self.count, residual=residual, status=status)


class IterativeSolver(FixedPointSolver):
    """A solver that is a `start` and an `advance`; the loop around them is here.

    The loop counts, stops and freezes each sample on its own, keeps non-finite samples apart and
    remembers the best iterate. State is passed along and never stored on the solver.

    Examples:
        >>> from typing import ClassVar
        >>> import torch
        >>> from fpdm.iteration import IterativeSolver
        >>> class Halfway(IterativeSolver):
        ...     name: ClassVar[str] = "halfway"
        ...     def start(self, z0):
        ...         return None
        ...     def advance(self, z, image, state):
        ...         return (z + image) / 2, state
        >>> Halfway().solve(torch.cos, torch.zeros(2), evals=3).evals
        3
    """

    keeps_best: ClassVar[bool] = True
    """Whether a solve ends with the image of the iterate that had the smallest residual, or with
    the iterate after the last evaluation. The image is what is known; an extrapolation that nobody
    has looked at can be far off.
    """

    @abstractmethod
    def start(self, z0: Tensor) -> Any:
        """Return the state before the first evaluation."""

    @abstractmethod
    def advance(self, z: Tensor, image: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the next iterate and the next state.

        Args:
            z: the current iterate, (B, ...).
            image: `f(z)`, finite; for a sample that is over, `z` itself.
            state: what `start` or the last `advance` returned.
        """

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        evals: int,
        tol: float | None = None,
    ) -> Solution:
        """Run the loop; see [`FixedPointSolver.solve`][fpdm.FixedPointSolver.solve]."""
        monitor = Monitor(f, x0, granted=evals, tol=tol)
        z = value = x0
        state = self.start(x0)
        best, residual = monitor.gap, monitor.residual
        for _ in range(evals):
            frozen = monitor.converged
            image = monitor(z)
            proposal, state = self.advance(z, image, state)
            if proposal is not image:  # an extrapolation may overflow; the image is finite
                proposal = batch.select(batch.finite(proposal.detach()), proposal, image)
            z = proposal if tol is None else batch.select(frozen, z, proposal)
            accepted = monitor.finite & ~frozen
            if self.keeps_best:
                accepted = accepted & ((monitor.gap <= best) | monitor.converged)
                best = torch.minimum(best, monitor.gap)
            value = batch.select(accepted, image if self.keeps_best else z, value)
            residual = torch.where(accepted, monitor.residual, residual)
            if tol is not None and bool((monitor.converged | ~monitor.finite).all()):
                break
        return monitor.solution(value, residual)
