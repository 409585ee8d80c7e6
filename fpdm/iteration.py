"""The loop that most solvers share, so that an algorithm is only its mathematics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from attrs import evolve
from torch import Tensor

from fpdm import batch
from fpdm.counting import Evaluation, Monitor
from fpdm.errors import InvalidValueError, PluginError
from fpdm.interfaces import FixedPointSolver
from fpdm.solution import Solution


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

    def blank(self, z0: Tensor) -> Any:
        """Return a carry that knows nothing: going on from it is beginning afresh.

        A compiled timestep begins with it, so that the first needs no graph of its own: from solve
        to solve its tensors keep their shapes, and no number changes but in a tensor.

        Args:
            z0: where a solve starts, (B, ...).

        Returns:
            The carry; None if the solver has no such thing.
        """
        del z0

    def begin(self, x0: Tensor, *, evals: int, carry: Any = None) -> Any:
        """Return the state before the first evaluation, afresh or going on.

        Args:
            x0: where the solve starts, (B, ...).
            evals: the evaluations to come, for a solver that makes room for them.
            carry: what an earlier solution carried; None begins afresh.
        """
        del evals
        return self.start(x0) if carry is None else self.resume(x0, carry)

    def observe(self, z: Tensor, image: Tensor, state: Any) -> Evaluation:
        """Return the evaluation that has just been made; for a solver that measures it its own way.

        Args:
            z: the current iterate, (B, ...).
            image: `f(z)` as it comes, (B, ...).
            state: what `begin` or the last step returned.
        """
        del state
        return Evaluation(z, image)

    def step(self, evaluation: Evaluation, state: Any) -> tuple[Tensor, Any]:
        """Return what `advance` does, made finite; for a solver that also wants what was measured.

        Args:
            evaluation: of the current iterate; its image is as `f` made it.
            state: what `begin` or the last step returned.

        Returns:
            The next iterate, (B, ...), finite, and the state.

        Raises:
            PluginError: `advance` returned no iterate with a state, or an iterate of another shape
                or dtype.
        """
        z, answered = evaluation.z, evaluation.answered
        image = batch.select(answered, evaluation.image, z)
        proposal, state = self._pair(self.advance(z, image, state))
        if proposal is image:
            return image, state
        self._check(proposal, like=z)
        sound = answered & batch.finite(proposal.detach())  # it may have overflown
        return batch.select(sound, proposal, image), state

    def learn(self, evaluation: Evaluation, state: Any) -> Any:
        """Return the state after the last evaluation, where it is carried on and no step is taken.

        Args:
            evaluation: of the last iterate.
            state: what `begin` or the last step returned.
        """
        return self.step(evaluation, state)[1]

    def carried(self, state: Any) -> Any:
        """Return what of the last state a solution carries.

        It holds the graph of the solve, if there is one, as the value does: the next solve is
        differentiated through both.

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
        state = self.begin(x0, evals=evals, carry=carry)
        z = value = x0
        gap = residual = monitor.best
        for left in reversed(range(evals)):
            evaluation = self.observe(z, monitor.evaluate(z), state)
            if self.keeps_best or tol is not None:
                closer = monitor.note(evaluation)
                chosen = closer if self.keeps_best else monitor.answered
            else:
                monitor.check(evaluation)
            if tol is not None:
                gap = torch.where(chosen, evaluation.gap, gap)
                residual = torch.where(chosen, evaluation.residual, residual)
            elif not left and not self.keeps_best:
                gap = batch.select(monitor.answered, evaluation.gap, gap)
                residual = batch.ratio(gap, evaluation.size)
            if self.keeps_best:
                value = batch.select(chosen, evaluation.image, value)
            over = not left or monitor.over
            if not over or not self.keeps_best:
                z, state = self.step(evaluation, state)
            else:  # nobody would see the next iterate
                state = self.learn(evaluation, state) if self.carry else None
            if not self.keeps_best:
                value = z
            del evaluation  # its tensors are not wanted while f is at work
            if over:
                break
        if tol is None and self.keeps_best:
            gap = monitor.best
            residual = batch.relative(gap, value)
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
