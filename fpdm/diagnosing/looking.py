"""What is looked at in the fixed-point problems of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from fpdm import batch, plugins
from fpdm.diagnosing.diagnosis import Curve, Extent
from fpdm.diagnosing.runs import Runs
from fpdm.diagnosing.watching import Problem, WatchedInit, WatchedSolver
from fpdm.interfaces import FixedPointSolver, InitStrategy
from fpdm.tracing import trace
from fpdm.training.jacobian import spectral_norm, spectral_radius

EXACT = 2
"""So many times the evaluations of the others are spent on the solution that is taken for exact."""


class Looking:
    """Goes along a run, and keeps what it finds.

    Args:
        solvers: that are compared, by what they are called.
        inits: likewise.
        places: the timesteps that are looked at, by index.
        evals: that each solve is granted.
        tol: the relative residual that counts as converged.
        seed: of the vectors that the Jacobian is probed with.
        tell: is called when a timestep has been looked at.

    Attributes:
        found: by the index of a timestep, what a `Finding` holds of it.
    """

    def __init__(
        self,
        solvers: Mapping[str, FixedPointSolver],
        inits: Mapping[str, InitStrategy],
        *,
        places: tuple[int, ...],
        evals: int,
        tol: float,
        seed: int,
        tell: Callable[[], None],
    ) -> None:
        self._solvers, self._inits = solvers, inits
        self._places, self._evals, self._tol = places, evals, tol
        self._seed, self._tell = seed, tell
        self._reference: FixedPointSolver = plugins.resolve("solver", "anderson")
        self._before: Tensor | None = None
        self.found: dict[int, dict[str, Any]] = {}

    def follow(self, runs: Runs, counts: tuple[int, ...]) -> None:
        """Go along a run, or along real samples.

        Args:
            runs: what runs.
            counts: iterations of each timestep.
        """
        init = WatchedInit(runs.init, max(each.lookback for each in self._inits.values()))
        solver = WatchedSolver(runs.solver, init, self._look)
        for _ in runs.along_images(counts=counts, init=init, solver=solver):
            pass

    def _look(self, problem: Problem) -> None:
        index = problem.moment.index
        if not {index, index + 1} & {*self._places}:
            return
        exact = self._reference.solve(problem.f, problem.features, evals=EXACT * self._evals).value
        if index in self._places:
            rng = torch.Generator().manual_seed(self._seed)
            probe = torch.randn(exact.shape, generator=rng).to(exact.device)
            self.found[index] = {
                "radius": _extent(spectral_radius(problem.f, exact, probe)),
                "norm": _extent(spectral_norm(problem.f, exact, probe)),
                "distance": _distance(self._before, exact),
                "curves": tuple(
                    self._curve(problem, solver, init)
                    for solver in self._solvers
                    for init in self._inits
                ),
            }
            self._tell()
        self._before = exact

    def _curve(self, problem: Problem, solver: str, init: str) -> Curve:
        """Let a solver go on from a start; the residuals are (evals, B)."""
        start = problem.start(self._inits[init])
        solution = trace(self._solvers[solver], problem.f, start, evals=self._evals)
        residuals = _finite_or_inf(solution.trace)
        there = residuals <= self._tol
        first = torch.where(there.any(dim=0), there.double().argmax(dim=0) + 1.0, math.inf)
        return Curve(
            solver,
            init,
            median=tuple(_median(residuals).tolist()),
            lower=tuple(_quantile(residuals, 0.25).tolist()),
            upper=tuple(_quantile(residuals, 0.75).tolist()),
            converged=float(there.any(dim=0).double().mean()),
            reached=float(_median(first)),
        )


def _extent(each: Tensor) -> Extent:
    """The median and the largest of (B,)."""
    sound = _finite_or_inf(each)
    return Extent(float(_median(sound)), float(sound.max()))


def _distance(before: Tensor | None, now: Tensor) -> float | None:
    """The median distance between solutions, relative to the second; None without a first.

    Where guidance ends, the conditional half goes on; where it begins, both halves go on from it.
    """
    if before is None:
        return None
    if len(before) < len(now):
        before = torch.cat([before, before])
    gap = now.double() - before[: len(now)].double()
    return float(_median(_finite_or_inf(batch.norm(gap) / batch.norm(now))))


def _finite_or_inf(numbers: Tensor | None) -> Tensor:
    assert numbers is not None
    return numbers.double().cpu().nan_to_num(nan=math.inf, posinf=math.inf)


def _median(numbers: Tensor) -> Tensor:
    """Over the last dimension, (..., B) → (...): of two in the middle the lower, which may be inf.

    Args:
        numbers: (..., B).
    """
    return numbers.median(dim=-1).values


def _quantile(numbers: Tensor, share: float) -> Tensor:
    """The nearest one over the last dimension, (..., B) → (...), for numbers that may be inf."""
    place = round(share * (numbers.shape[-1] - 1))
    return numbers.sort(dim=-1).values[..., place]
