"""The loop that most solvers share, so that an algorithm is only its mathematics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
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

    Attributes:
        answered: the samples of which it counts: their images have been finite, and they had not
            reached a tolerance before; (B,).
        settled: the samples that had reached a tolerance before, (B,); None without a tolerance.
    """

    answered: Tensor
    settled: Tensor | None = None

    def __init__(self, z: Tensor, image: Tensor) -> None:
        self.z, self.image = z, image
        self._difference: Tensor | None = None
        self._gap: Tensor | None = None
        self._size: Tensor | None = None

    @property
    def difference(self) -> Tensor:
        """`f(z) - z` in float32 or wider, (B, ...)."""
        if self._difference is None:
            wide = batch.wide(self.z.dtype)
            self._difference = self.image.to(wide) - self.z.to(wide)
        return self._difference

    @property
    def gap(self) -> Tensor:
        """The absolute residual, `‖f(z) - z‖`, (B,); inf or NaN where the image is not finite."""
        if self._gap is None:
            self._gap = batch.norm(self.difference.detach())
        return self._gap

    @property
    def size(self) -> Tensor:
        """`‖f(z)‖`, (B,)."""
        if self._size is None:
            self._size = batch.norm(self.image.detach())
        return self._size

    @property
    def residual(self) -> Tensor:
        """The relative residual, `‖f(z) - z‖ / ‖f(z)‖`, (B,)."""
        return batch.ratio(self.gap, self.size)


class Monitor(Counted):
    """`f` under watch: counted, with the residual of each sample, and safe from inf and NaN.

    A sample is over once its image was not finite, or its residual has reached `tol`. From then on
    a call answers it with the point that was asked about: to the solver it looks solved, and it
    touches no other sample. Nothing waits for the device.

    Args:
        f: maps a tensor to one of its own shape and dtype.
        x0: where the solve starts; (B, ...).
        granted: how many calls are allowed.
        tol: the relative residual at which a sample is converged and its record closed.

    Attributes:
        gap: `‖f(z) - z‖` of each sample at its last answered call; (B,).
        residual: the same relative to `‖f(z)‖`; (B,), noted only with `tol`.
        best: the smallest `gap` so far; (B,).
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
        self.best = x0.new_full((samples,), torch.inf, dtype=batch.widest(x0.device))
        self.gap = self.residual = self.best
        self.answered = torch.ones_like(self.best, dtype=torch.bool)
        self._worst: Tensor | None = None  # the largest of what is finite where all images are
        self._converged: Tensor | None = None
        self.idle: Tensor | None = None
        if tol is not None:
            self._converged = torch.zeros_like(self.best, dtype=torch.bool)
            self.idle = torch.zeros_like(self.best, dtype=torch.int64)

    @property
    def finite(self) -> Tensor:
        """Whether every image of a sample was finite, (B,)."""
        return self.answered if self._worst is None else self._worst < torch.inf

    @property
    def converged(self) -> Tensor:
        """Whether a sample's residual has reached `tol`, (B,)."""
        if self._converged is None:
            return torch.zeros_like(self.best, dtype=torch.bool)
        return self._converged

    @property
    def going(self) -> Tensor:
        """Which samples are not over; (B,)."""
        return self.finite if self._converged is None else self.finite & ~self._converged

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, note the residuals, and return the answer.

        Args:
            z: a state, (B, ...).

        Returns:
            `f(z)`, shaped like `z`; for a sample that is over, `z` itself.
        """
        evaluation = Evaluation(z, self.evaluate(z))
        self.note(evaluation)
        self.gap = torch.where(self.answered, evaluation.gap, self.gap)
        if self.tol is not None:
            self.residual = torch.where(self.answered, evaluation.residual, self.residual)
        return batch.select(self.answered, evaluation.image, z)

    def evaluate(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, count it, and note nothing.

        Args:
            z: a state, (B, ...).

        Returns:
            `f(z)` as it comes, shaped like `z`.
        """
        return super().__call__(z)

    def check(self, evaluation: Evaluation) -> None:
        """Note of which samples an evaluation counts, by its image alone.

        Args:
            evaluation: the last one.
        """
        if self._converged is None and self._worst is None and batch.seen_finite(evaluation.image):
            evaluation.answered = self.answered
            return
        self._judge(evaluation, evaluation.size)

    def note(self, evaluation: Evaluation) -> Tensor:
        """Note an evaluation and its residuals.

        Args:
            evaluation: the last one.

        Returns:
            The samples for which it is the best so far, or reaches the tolerance; (B,).
        """
        gap = evaluation.gap
        self._judge(evaluation, gap)
        closer = self.answered & (gap < self.best)
        if self.tol is None or self.idle is None:
            self.best = torch.fmin(self.best, gap)
            return closer
        reached = self.answered & (evaluation.residual <= self.tol)
        self._converged = self.converged | reached
        self.idle = torch.where(closer, 0, self.idle + 1)
        self.best = torch.where(closer, gap, self.best)
        return closer | reached

    def _judge(self, evaluation: Evaluation, measure: Tensor) -> None:
        """Note whether images are finite, by what is inf or NaN where they are not, (B,)."""
        if evaluation.image.dtype == torch.float64:  # whose norm may leave the range
            measure = batch.peak(evaluation.image.detach())
        settled = evaluation.settled = self._converged
        if settled is not None:
            measure = measure.masked_fill(settled, 0)
        self._worst = measure if self._worst is None else torch.maximum(self._worst, measure)
        evaluation.answered = self.answered = self.going

    def solution(self, value: Tensor, gap: Tensor, residual: Tensor) -> Solution:
        """The `Solution` that reports `value` together with what was seen on the way.

        Args:
            value: the approximation, (B, ...).
            gap: the absolute residual of the evaluation that it was made from, (B,).
            residual: the relative one, (B,).
        """
        finite = self.answered if self._converged is None else self.finite
        status = ~finite * int(Status.NON_FINITE)
        if self.idle is not None:
            spent = torch.where(
                self.idle >= PATIENCE, int(Status.STAGNATED), int(Status.BUDGET_SPENT)
            )
            spent = torch.where(self.converged, int(Status.CONVERGED), spent)
            status = torch.where(finite, spent, status)
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
                gap = torch.where(monitor.answered, evaluation.gap, gap)
                residual = batch.ratio(gap, evaluation.size)
            over = not left or (tol is not None and not bool(monitor.going.any()))
            if not over or not self.keeps_best:
                z, state = self.step(evaluation, state)
            else:  # nobody would see the next iterate
                state = self.learn(evaluation, state) if self.carry else None
            value = batch.select(chosen, evaluation.image, value) if self.keeps_best else z
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
