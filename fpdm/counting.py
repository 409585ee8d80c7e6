"""Evaluations are the currency here, so they are counted where they are spent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fpdm import batch
from fpdm.checks import check_real, check_whole
from fpdm.errors import InvalidValueError, PluginError
from fpdm.solution import Solution, Status

Select = Callable[[Tensor], Callable[[Tensor], Tensor]]
"""Makes of the numbers of some samples, (R,), int64, a map of their states alone, (R, ...)."""

PATIENCE = 10
"""Evaluations without a lower residual after which a sample is said to stagnate."""


class Counted:
    """`f`, counting its calls and refusing one more than was granted.

    Where `f` can be evaluated for some samples only, so can this; see `select` of
    [`Block.bind`][fpdm.layer.Block.bind].

    Args:
        f: maps a tensor to one of its own shape and dtype.
        granted: how many calls are allowed; None for any number.

    Raises:
        PluginError: on the call after the last one granted: the solver overspent.
        InvalidValueError: when `f` does not keep shape and dtype.
    """

    def __init__(self, f: Callable[[Tensor], Tensor], *, granted: int | None = None) -> None:
        self.f = f
        self.granted = granted
        self.count = 0
        self._parts: list[Tensor] = []  # the samples of each call that was not for all

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, and count it.

        Args:
            z: a state, (B, ...).

        Returns:
            The image of `z`, shaped like `z`.
        """
        return self._evaluate(self.f, z)

    @property
    def select(self) -> Select | None:
        """Evaluates some samples: of their numbers, (R,), makes a map of states, (R, ...).

        None where `f` has no such thing, and every call is for all.
        """
        part_of: Select | None = getattr(self.f, "select", None)
        if part_of is None:
            return None

        def select(rows: Tensor) -> Callable[[Tensor], Tensor]:
            part = part_of(rows)

            def of_part(z: Tensor) -> Tensor:
                self._parts.append(rows)
                return self._evaluate(part, z)

            return of_part

        return select

    def counts(self, samples: int, device: torch.device) -> Tensor:
        """The evaluations made of each sample, (B,), int64.

        Args:
            samples: how many there are, B.
            device: where the samples are.
        """
        of_all = self.count - len(self._parts)
        made = torch.full((samples,), of_all, dtype=torch.int64, device=device)
        for rows in self._parts:
            made[rows] += 1
        return made

    def _evaluate(self, f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
        if self.count == self.granted:
            raise PluginError(
                f"A solver asked for evaluation {self.count + 1} of f with {self.granted} granted."
            )
        self.count += 1
        image = f(z)
        if image.shape != z.shape or image.dtype != z.dtype:
            raise InvalidValueError(
                f"f must keep shape and dtype: it made {tuple(image.shape)} {image.dtype} "
                f"of {tuple(z.shape)} {z.dtype}."
            )
        return image


class Watched(Counted):
    """`f` in training: counted, with what a training wants to know of the solve.

    Args:
        f: maps a tensor to one of its own shape and dtype.

    Attributes:
        with_grad: calls that autograd has recorded.
        start_residual: `‖f(z) - z‖ / ‖f(z)‖` at the first call, (B,); None before it.
    """

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__(f)
        self.with_grad = 0
        self.start_residual: Tensor | None = None

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, count it, and note the first residual."""
        image = super().__call__(z)
        self.with_grad += torch.is_grad_enabled()
        if self.start_residual is None:
            with torch.no_grad():
                gap = batch.norm(image.to(batch.wide(z.dtype)) - z)
                self.start_residual = batch.relative(gap, image)
        return image


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
        self._rows: Tensor | None = None  # the samples that are not over; None where nobody looked
        self._part: tuple[int, Callable[[Tensor], Tensor]] | None = None
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

    @property
    def over(self) -> bool:
        """Whether all samples are over; False without a tolerance. To look waits for the device."""
        return self.tol is not None and not len(self._going_on())

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

        With a tolerance a sample that is over is left out, where `f` can be evaluated without it.

        Args:
            z: a state, (B, ...).

        Returns:
            `f(z)` as it comes, shaped like `z`; for a sample that was left out, `z` itself.
        """
        select = None if self.tol is None else self.select
        if select is None:
            return super().__call__(z)
        rows = self._going_on()
        if len(rows) in (0, len(self.best)):
            return super().__call__(z)
        if self._part is None or self._part[0] != len(rows):  # who is over stays so
            self._part = len(rows), select(rows)
        return z.index_copy(0, rows, self._part[1](z[rows]))

    def _going_on(self) -> Tensor:
        """The numbers of the samples that are not over, (R,)."""
        if self._rows is None:
            self._rows = self.going.nonzero()[:, 0]
        return self._rows

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
        gap, self._rows = evaluation.gap, None
        if self._worst is None:  # a start that is not finite can have an image that is
            self._judge(evaluation, evaluation.size)
            closer, self.best = self.answered, torch.fmin(self.best, gap)
        else:
            self._judge(evaluation, gap)
            closer = self.answered & (gap < self.best)
            self.best = torch.where(closer, gap, self.best)
        if self.tol is None or self.idle is None:
            return closer
        reached = self.answered & (evaluation.residual <= self.tol)
        self._converged = self.converged | reached
        self.idle = torch.where(closer, 0, self.idle + 1)
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
            counts=None if self.tol is None else self.counts(len(gap), gap.device),
        )
