"""The loop that most solvers share, so that an algorithm is only its mathematics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import torch
from attrs import evolve
from torch import Tensor

from fpdm import batch
from fpdm.checks import check_real, check_whole
from fpdm.counting import Counted
from fpdm.errors import InvalidValueError, PluginError
from fpdm.interfaces import FixedPointSolver
from fpdm.solution import Solution, Status

PATIENCE = 10
"""Evaluations without a lower residual after which a sample is said to stagnate."""


class Evaluation:
    """One call of `f`. What can be measured of it is measured when it is first asked for.

    Args:
        z: where it was made, (B, ...).
        image: `f(z)`, (B, ...).
    """

    def __init__(self, z: Tensor, image: Tensor) -> None:
        self.z, self.image = z, image

    @cached_property
    def difference(self) -> Tensor:
        """`f(z) - z` in float32 or wider, (B, ...)."""
        wide = batch.wide(self.z.dtype)
        return self.image.to(wide) - self.z.to(wide)

    @cached_property
    def gap(self) -> Tensor:
        """The absolute residual, `‖f(z) - z‖`, (B,)."""
        return batch.norm(self.difference.detach()).nan_to_num(nan=torch.inf)

    @cached_property
    def residual(self) -> Tensor:
        """The relative residual, `‖f(z) - z‖ / ‖f(z)‖`, (B,)."""
        return batch.relative(self.gap, self.image)


class Monitor(Counted):
    """`f` under watch: counted, with the residual of each sample, and safe from inf and NaN.

    A sample is over once its image was not finite, or its residual has reached `tol`. From then on
    and for ever it is answered with the point that was asked about: to the solver it looks solved,
    and it touches no other sample. Nothing waits for the device.

    Args:
        f: maps a tensor to one of its own shape and dtype.
        x0: where the solve starts; (B, ...).
        granted: how many calls are allowed.
        tol: the relative residual at which a sample is converged and its record closed.

    Attributes:
        gap: `‖f(z) - z‖` of each sample at its last noted evaluation; (B,).
        residual: the same relative to `‖f(z)‖`; (B,).
        best: the smallest `gap` so far; (B,).
        finite: whether every image of the sample was finite; (B,).
        converged: whether the sample's residual has reached `tol`; (B,).
        answered: whether the last image counts: the sample was not over, and is finite; (B,).
        idle: with `tol`, the evaluations since `best` was found; (B,).

    Raises:
        InvalidValueError: `granted` is negative, or `tol` is not positive.
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
        samples = x0.shape[0] if x0.dim() else 1
        self.gap = x0.new_full((samples,), torch.inf, dtype=batch.widest(x0.device))
        self.residual = self.best = self.gap
        self.finite = torch.ones_like(self.gap, dtype=torch.bool)
        self.converged = ~self.finite
        self.answered = self.finite
        self.idle = torch.zeros_like(self.gap, dtype=torch.int64)

    @property
    def going(self) -> Tensor:
        """Which samples are not over; (B,)."""
        return self.finite & ~self.converged

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, note the residuals, and return the answer.

        Args:
            z: a state, (B, ...).

        Returns:
            `f(z)`, shaped like `z`; for a sample that is over, `z` itself.
        """
        evaluation = self.look(z)
        self.note(evaluation)
        return evaluation.image

    def look(self, z: Tensor) -> Evaluation:
        """Evaluate `f(z)`, without a note of the residuals.

        Args:
            z: a state, (B, ...).

        Returns:
            The evaluation; for a sample that is over, its image is `z` itself.
        """
        image = super().__call__(z)
        self.answered = batch.finite(image.detach()) & self.going
        self.finite = self.answered | self.converged
        return Evaluation(z, batch.select(self.answered, image, z))

    def note(self, evaluation: Evaluation) -> None:
        """Note the absolute residual of the last look, and with a tolerance the relative one.

        Args:
            evaluation: what the last `look` returned.
        """
        self.gap = torch.where(self.answered, evaluation.gap, self.gap)
        if self.tol is not None:
            self.residual = torch.where(self.answered, evaluation.residual, self.residual)
            self.converged = self.converged | (self.answered & (self.residual <= self.tol))
            self.idle = torch.where(self.gap < self.best, 0, self.idle + 1)
        self.best = torch.minimum(self.best, self.gap)

    def solution(self, value: Tensor, gap: Tensor, residual: Tensor) -> Solution:
        """The `Solution` that reports `value` together with what was seen on the way.

        Args:
            value: the approximation, (B, ...).
            gap: the absolute residual of the evaluation that it was made from, (B,).
            residual: the relative one, (B,).
        """
        status = torch.where(self.idle >= PATIENCE, int(Status.STAGNATED), int(Status.BUDGET_SPENT))
        status = torch.where(self.converged, int(Status.CONVERGED), status)
        status = torch.where(self.finite, status, int(Status.NON_FINITE))
        return Solution(
            value=value,
            evals=self.count,
            residual=residual,
            absolute_residual=gap,
            status=status,
        )


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
        """Return the state before the first evaluation.

        Args:
            z0: where the solve starts, (B, ...).

        Returns:
            Anything that `advance` understands; None where nothing is remembered.
        """

    @abstractmethod
    def advance(self, z: Tensor, image: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the next iterate and the next state, which may use up the last one.

        Args:
            z: the current iterate, (B, ...).
            image: `f(z)`, (B, ...), finite; for a sample that is over, `z` itself.
            state: what `start` or the last `advance` returned.

        Returns:
            The next iterate, shaped and typed like `z`, and the state.
        """

    def step(self, evaluation: Evaluation, state: Any) -> tuple[Tensor, Any]:
        """Return what `advance` does; for a solver that also wants what was measured.

        Args:
            evaluation: of the current iterate.
            state: what `start` or the last step returned.

        Returns:
            The next iterate, (B, ...), and the state.
        """
        return self.advance(evaluation.z, evaluation.image, state)

    def carried(self, state: Any) -> Any:
        """Return what of the last state a solution carries; it holds no graph.

        Args:
            state: what the last step returned.
        """
        return state

    def resume(self, z0: Tensor, carry: Any) -> Any:
        """Return the state before the first evaluation, going on from that of an earlier solve.

        Args:
            z0: where the solve starts, (B, ...).
            carry: what an earlier solution carried.

        Raises:
            InvalidValueError: the solver carries nothing, or not such a thing.
        """
        del z0, carry
        raise InvalidValueError(f"carry: {type(self).__name__} cannot go on from an earlier solve.")

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        evals: int,
        tol: float | None = None,
        carry: Any = None,
    ) -> Solution:
        """Run the loop; see [`FixedPointSolver.solve`][fpdm.FixedPointSolver.solve].

        Args:
            f: likewise.
            x0: likewise, (B, ...).
            evals: likewise.
            tol: likewise.
            carry: of the solution of an earlier solve; None begins afresh.

        Raises:
            PluginError: `advance` returned no iterate with a state, or an iterate of another shape
                or dtype.
        """
        monitor = Monitor(f, x0, granted=evals, tol=tol)
        state = self.start(x0) if carry is None else self.resume(x0, carry)
        z = value = x0
        gap = residual = monitor.gap
        for left in reversed(range(evals)):
            best = monitor.best
            evaluation = monitor.look(z)
            if self.keeps_best or tol is not None or not left:
                monitor.note(evaluation)
            chosen = monitor.answered
            if self.keeps_best:
                chosen = chosen & ((monitor.gap <= best) | monitor.converged)
                value = batch.select(chosen, evaluation.image, value)
            gap = torch.where(chosen, monitor.gap, gap)
            if tol is not None:
                residual = torch.where(chosen, monitor.residual, residual)
            elif not left:
                residual = batch.relative(gap, value if self.keeps_best else evaluation.image)
            if self.keeps_best and not left and not self.carry:
                break  # nobody would see the next iterate
            proposal, state = self._pair(self.step(evaluation, state))
            if proposal is not evaluation.image:  # which may have overflown
                self._check(proposal, like=z)
                sound = monitor.answered & batch.finite(proposal.detach())
                proposal = batch.select(sound, proposal, evaluation.image)
            z = proposal
            if not self.keeps_best:
                value = z
            del evaluation, proposal  # their tensors are not wanted while f is at work
            if tol is not None and not bool(monitor.going.any()):
                break
        solution = monitor.solution(batch.arrange(value, like=x0), gap, residual)
        return evolve(solution, carry=self.carried(state)) if self.carry else solution

    def _pair(self, stepped: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
        if isinstance(stepped, tuple) and len(stepped) == 2 and isinstance(stepped[0], Tensor):
            return stepped
        raise PluginError(
            f"advance of {type(self).__name__} returned {type(stepped).__name__}: must be the next "
            f"iterate and the state."
        )

    def _check(self, proposal: Tensor, *, like: Tensor) -> None:
        if proposal.shape != like.shape or proposal.dtype != like.dtype:
            raise PluginError(
                f"{type(self).__name__} made an iterate of {tuple(proposal.shape)} "
                f"{proposal.dtype} for a state of {tuple(like.shape)} {like.dtype}."
            )
