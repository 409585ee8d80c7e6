"""The solvers of torchdeq, held to this library's contract."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import torch
from attrs import field, frozen
from attrs.validators import optional
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from fpdm import batch
from fpdm.checks import real, whole
from fpdm.counting import Monitor
from fpdm.interfaces import FixedPointSolver
from fpdm.solution import Solution

Rows = Callable[[Tensor], Tensor]


class _Finished(Exception):  # noqa: N818 (it is no error)
    """Every sample has converged: leave torchdeq's loop."""


def _same(tensor: Tensor) -> Tensor:
    return tensor


class TorchdeqSolver(FixedPointSolver):
    """What the three adapters share.

    torchdeq decides at which points `f` is evaluated; the answer is the image of the last of them.
    So it is differentiable (torchdeq detaches what it returns itself), one evaluation is one plain
    step, and a point that torchdeq makes non-finite is replaced by the last image before it.
    torchdeq sees the state as rows in float32 or wider and is told never to stop; the count and
    the tolerance are kept here. Evaluations that it leaves over, also when it fails on a singular
    system, are spent on plain steps.

    Source: Geng and Kolter, TorchDEQ: a library for deep equilibrium models, 2023.
    """

    extra: ClassVar[int] = 0
    """Evaluations that torchdeq makes beyond its `max_iter`."""

    least: ClassVar[int] = 1
    """The fewest evaluations with which torchdeq does anything."""

    @abstractmethod
    def run(self, f: Rows, z0: Tensor, **options: Any) -> None:
        """Let torchdeq evaluate `f` on rows, (B, D), from `z0`.

        Args:
            f: maps rows to rows, (B, D); each call is one evaluation.
            z0: where to start, (B, D).
            options: `max_iter`, `tol` and `return_final` of torchdeq.
        """

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        evals: int,
        tol: float | None = None,
    ) -> Solution:
        """Solve; see [`FixedPointSolver.solve`][fpdm.FixedPointSolver.solve]."""
        monitor = Monitor(f, x0, granted=evals, tol=tol)
        value = batch.rows(x0).to(batch.wide(x0.dtype))

        def on_rows(z: Tensor) -> Tensor:
            nonlocal value
            asked = ~monitor.converged & batch.finite(z.detach().to(x0.dtype))
            z = batch.select(asked, z, value).clone()  # torchdeq overwrites its own
            with saved_tensors_hooks(_same, _same):  # but f saves what it needs as it is
                image = batch.rows(monitor(z.reshape(x0.shape).to(x0.dtype))).to(z.dtype)
            value = batch.select(asked & monitor.answered, image, value)
            if monitor.over:
                raise _Finished
            return image

        with suppress(_Finished):
            if evals >= self.least and len(value):
                options = {"max_iter": evals - self.extra, "tol": 0.0, "return_final": True}
                # torchdeq overwrites its buffers; and one singular system ends its solve for all
                singular = torch.linalg.LinAlgError  # type: ignore[attr-defined]
                with saved_tensors_hooks(torch.clone, _same), suppress(singular):
                    self.run(on_rows, value, **options)
            while monitor.count < evals:
                on_rows(value)
        value = batch.arrange(value.reshape(x0.shape).to(x0.dtype), like=x0)
        residual = batch.relative(monitor.gap, value) if tol is None else monitor.residual
        return monitor.solution(value, monitor.gap, residual)


@frozen
class TorchdeqNaive(TorchdeqSolver):
    """torchdeq's plain iteration. Source: Geng and Kolter, TorchDEQ, 2023.

    Args:
        tau: damping between evaluations, in (0, 1]; 1 is undamped.

    Raises:
        InvalidValueError: `tau` is not allowed.
    """

    name: ClassVar[str] = "torchdeq-naive"

    tau: float = field(default=1.0, validator=real(above=0, maximum=1))

    def run(self, f: Rows, z0: Tensor, **options: Any) -> None:
        """Call `fixed_point_iter`."""
        from torchdeq.solver.fp_iter import fixed_point_iter

        fixed_point_iter(f, z0, tau=self.tau, **options)


@frozen
class TorchdeqAnderson(TorchdeqSolver):
    """torchdeq's Anderson acceleration; up to two evaluations are plain steps.

    Its ridge is absolute, so it helps little where the residuals are small. Source: Geng and
    Kolter, TorchDEQ, 2023; Anderson, Iterative procedures for nonlinear integral equations, J. ACM
    12 (1965).

    Args:
        memory: past residuals that are mixed, ≥ 2.
        ridge: absolute regularisation, ≥ 0.
        tau: mixing, in (0, 1].

    Raises:
        InvalidValueError: an option is not allowed.
    """

    name: ClassVar[str] = "torchdeq-anderson"
    least: ClassVar[int] = 3

    memory: int = field(default=6, validator=whole(minimum=2))
    ridge: float = field(default=1e-4, validator=real(minimum=0))
    tau: float = field(default=1.0, validator=real(above=0, maximum=1))

    def run(self, f: Rows, z0: Tensor, **options: Any) -> None:
        """Call `anderson_solver`."""
        from torchdeq.solver.anderson import anderson_solver

        memory = min(self.memory, options["max_iter"])
        anderson_solver(f, z0, m=memory, lam=self.ridge, tau=self.tau, **options)


@frozen
class TorchdeqBroyden(TorchdeqSolver):
    """torchdeq's Broyden method, without line search.

    Past convergence it divides by zero: the value is kept, but gradients through it are lost.
    Source: Geng and Kolter, TorchDEQ, 2023; Broyden, Math. Comp. 19 (1965).

    Args:
        rank: updates of the inverse Jacobian that are kept; None keeps all.

    Raises:
        InvalidValueError: `rank` is not allowed.
    """

    name: ClassVar[str] = "torchdeq-broyden"
    extra: ClassVar[int] = 1
    least: ClassVar[int] = 2

    rank: int | None = field(default=None, validator=optional(whole(minimum=1)))

    def run(self, f: Rows, z0: Tensor, **options: Any) -> None:
        """Call `broyden_solver`."""
        from torchdeq.solver.broyden import broyden_solver

        broyden_solver(f, z0, LBFGS_thres=self.rank, **options)
