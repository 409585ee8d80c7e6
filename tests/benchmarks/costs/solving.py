"""What solvers take beyond the evaluations of `f`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

import torch
from attrs import evolve
from torch import Tensor

import fpdm
from tests.benchmarks.costs.figures import Figure
from tests.benchmarks.costs.settings import Settings
from tests.benchmarks.costs.timing import Run, interleaved

SECTION = "solvers"
OURS = {"naive": {}, "anderson": {"memory": 6}, "broyden": {"rank": 6}}
THEIRS = "torchdeq's "


def elementwise(
    shape: tuple[int, int], *, device: str = "cpu"
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A contraction that costs one operation, and where to start."""
    rng = torch.Generator(device).manual_seed(0)
    x0, offset = (torch.randn(shape, generator=rng, device=device) for _ in range(2))
    slope = 0.9 * torch.rand(shape, generator=rng, device=device)
    return lambda z: torch.addcmul(offset, slope, z), x0


def solvers(settings: Settings) -> Iterator[Figure]:
    """Time beyond f, ours and torchdeq's, with a memory of 6."""
    evals, (f, x0) = settings.evals, elementwise(settings.state, device=settings.device)
    runs = dict(_runs(f, x0, evals))
    with torch.no_grad():
        for _, run in _runs(f, x0, 3):
            run()
        times = interleaved(runs, seconds=settings.seconds / 2, **settings.rounds)
    case = f"{settings.state[0]} × {settings.state[1]:,} float32, {evals} evaluations"
    base = times.pop("f")
    beyond = {
        name: [(each - bare) / evals for each, bare in zip(seconds, base, strict=True)]
        for name, seconds in times.items()
    }
    yield Figure.timed(SECTION, case, "f itself", seconds=[each / evals for each in base])
    for name, seconds in beyond.items():
        figure = Figure.timed(SECTION, case, name, seconds=seconds)
        theirs = beyond.get(THEIRS + name)
        share = median(seconds) / median(theirs) if theirs else None
        yield evolve(figure, note=f"{share:.2f} × torchdeq's" if share is not None else "")


def _runs(f: Callable[[Tensor], Tensor], x0: Tensor, evals: int) -> Iterator[tuple[str, Run]]:
    from torchdeq.solver.anderson import anderson_solver
    from torchdeq.solver.broyden import broyden_solver
    from torchdeq.solver.fp_iter import fixed_point_iter

    def bare() -> None:
        z = x0
        for _ in range(evals):
            z = f(z)

    theirs = {
        "naive": (fixed_point_iter, {}),
        "anderson": (anderson_solver, {"m": 6}),
        "broyden": (broyden_solver, {"LBFGS_thres": 6}),
    }
    yield "f", bare
    for name, options in OURS.items():
        solver = fpdm.solver(name, **options)
        yield name, lambda solver=solver: solver.solve(f, x0, evals=evals)
        run, given = theirs[name]
        yield (
            THEIRS + name,
            lambda run=run, given=given: run(f, x0, max_iter=evals, tol=0.0, **given),
        )
