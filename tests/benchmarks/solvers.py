"""The solvers side by side with torchdeq's, as the Markdown tables of the documentation.

    python tests/benchmarks/solvers.py [evaluations] [residuals] [overhead] [digits]

Each part is written to `docs/tables/solvers-PART.md`; without a part, all are. Times are medians of
interleaved runs, and mean something on a quiet machine only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from drawn import Drawn, figures
from tables import head, machine, row, write_parts

import fpdm
from fpdm.counting import Evaluation
from fpdm.testing.classical import classical
from tests.toys import peak_bytes, stiff_block, symmetric

SOLVERS = {
    "naive": {"name": "naive"},
    "anderson": {"name": "anderson"},
    "anderson, type I": {"name": "anderson", "kind": "I"},
    "broyden": {"name": "broyden"},
    "torchdeq-naive": {"name": "torchdeq-naive"},
    "torchdeq-anderson": {"name": "torchdeq-anderson"},
    "torchdeq-broyden": {"name": "torchdeq-broyden"},
}


def solver(spec: dict, **options) -> fpdm.FixedPointSolver:
    named = {key: value for key, value in spec.items() if key != "name"}
    return fpdm.solver(spec["name"], **named, **options)


def evaluations() -> Iterator[str]:
    """Evaluations with which the classical problems are solved."""
    yield from head("problem", *SOLVERS, "limit")
    for problem in classical():
        needed = []
        for spec in SOLVERS.values():
            options = problem.options if spec["name"] == "anderson" else {}
            needed.append(problem.evals(solver(spec, **options)) or "–")
        yield row(problem.name, *needed, problem.within)
    yield ""
    yield (
        "Solved: an error of 1e-4 or less, in the game a residual of 2e-3. Limit: what the tests "
        "allow `anderson`. –: not within 120. float64; the rotations with 14 differences in "
        "`anderson`."
    )


def residuals() -> Iterator[str]:
    """What is left after some evaluations."""
    yield from head("map, evaluations, float32", *SOLVERS)

    def left(f: Callable[[Tensor], Tensor], x0: Tensor, evals: int, spec: dict) -> Tensor:
        value = solver(spec).solve(f, x0, evals=evals).value
        return Evaluation(value, f(value)).residual

    def report(name: str, evals: int, problems: list[tuple]) -> str:
        cells = []
        for spec in SOLVERS.values():
            found = torch.cat([left(f, x0, evals, spec) for f, x0 in problems])
            cells.append(f"{found.median():.1e}")
        return row(name, *cells)

    affine = [(symmetric(seed), torch.zeros(1, 200)) for seed in range(5)]
    yield report("affine, ρ = 0.9, 200 dimensions, 20", 20, affine)
    small = [(lambda z, f=f: 1e-6 * f(1e6 * z), x0) for f, x0 in affine]
    yield report("the same at the scale of 1e-6", 20, small)
    with torch.no_grad():
        stiff = [stiff_block(seed=seed) for seed in range(4)]
        yield report("transformer block, gain 1.6, 40", 40, stiff)
    yield ""
    yield "Relative residuals at the value, by one more evaluation; medians over the samples."


def overhead() -> Iterator[str]:
    """Time and memory beyond the evaluations, at 32 × 65,536 float32."""
    from torchdeq.solver.anderson import anderson_solver
    from torchdeq.solver.broyden import broyden_solver
    from torchdeq.solver.fp_iter import fixed_point_iter

    torch.manual_seed(0)
    evals, shape = 15, (32, 65_536)
    x0, offset, slope = torch.randn(shape), torch.randn(shape), 0.9 * torch.rand(shape)

    def f(z: Tensor) -> Tensor:
        return torch.addcmul(offset, slope, z)

    def bare() -> None:
        z = x0
        for _ in range(evals):
            z = f(z)

    def ours(name: str, **options) -> Callable[[], object]:
        return lambda: fpdm.solver(name, **options).solve(f, x0, evals=evals)

    def theirs(run: Callable, **options) -> Callable[[], object]:
        return lambda: run(f, x0, max_iter=evals, tol=0.0, **options)

    runs: dict[str, Callable[[], object]] = {
        "bare": bare,
        "naive": ours("naive"),
        "torchdeq fixed_point_iter": theirs(fixed_point_iter),
        "anderson, m = 6": ours("anderson", memory=6),
        "torchdeq anderson_solver, m = 6": theirs(anderson_solver, m=6),
        "anderson, m = 10": ours("anderson", memory=10),
        "torchdeq anderson_solver, m = 10": theirs(anderson_solver, m=10),
        "broyden, rank 10": ours("broyden", rank=10),
        "torchdeq broyden_solver, rank 10": theirs(broyden_solver, LBFGS_thres=10),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        for _ in range(11):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(1e3 * (time.perf_counter() - start) / evals)
        peaks = {name: peak_bytes(run) / (4 * x0.numel()) for name, run in runs.items()}
    base = median(times["bare"])
    beyond = {name: median(each) - base for name, each in times.items()}
    yield from head(
        "solver", "ms per evaluation beyond f", "quartiles", "ours / theirs", "peak states"
    )
    before = ""
    for name in list(runs)[1:]:
        low, high = (sorted(times[name])[index] - base for index in (2, 8))
        ratio = f"{beyond[before] / beyond[name]:.2f}" if name.startswith("torchdeq") else ""
        yield row(
            name, f"{beyond[name]:.1f}", f"{low:.1f} – {high:.1f}", ratio, f"{peaks[name]:.1f}"
        )
        before = name
    longer = beyond["anderson, m = 10"] / beyond["anderson, m = 6"]
    yield ""
    yield (
        f"{evals} evaluations of an elementwise map, {base:.1f} ms each; medians of 11 interleaved "
        f"runs. Peak: the most memory a solve holds, in states, those of f included. m = 10 costs "
        f"{longer:.2f} × m = 6. {machine()}"
    )


def digits_table(num: int = 1000, seeds: int = 2, steps: int = 15) -> Iterator[str]:
    """Residual and Fréchet distance on the digits at equal evaluations per timestep."""
    carrying = {"anderson, carry": {"name": "anderson", "carry": True}}
    carrying |= {"broyden, carry": {"name": "broyden", "carry": True}}
    compared = {name: SOLVERS[name] for name in ("naive", "anderson", "broyden")} | carrying
    compared |= {name: SOLVERS[name] for name in ("torchdeq-anderson", "torchdeq-broyden")}
    pipe = fpdm.FPDMPipeline.digits()

    def measure(spec: dict, iterations: int) -> Drawn:
        spent = {"budget": steps * (2 + iterations), "num_inference_steps": steps}
        own = {"scheduler": None, "init": "reuse"}  # the pipeline's scheduler
        return figures(pipe, num=num, seeds=seeds, solver=spec, **spent, **own).mean

    counts = (1, 2, 3, 5, 10)
    yield from head("solver", *(f"k = {count}" for count in counts))
    for name, spec in compared.items():
        cells = []
        for count in counts:
            found = measure(spec, count)
            cells.append(f"{found.left:.0e} / {found.pixels:.3f} / {found.features:.2f}")
        yield row(name, *cells)
    yield ""
    yield (
        f"Residual / Fréchet distance in pixel space / in features, at k iterations in each of "
        f"{steps} timesteps, so at {', '.join(str(steps * (2 + k)) for k in counts)} block passes. "
        f"Each solve starts from the last solution; the pipeline's own scheduler. Means over "
        f"{seeds} seeds of {num} samples; the residual is the median over the samples."
    )


if __name__ == "__main__":
    write_parts(
        "solvers",
        {
            "evaluations": evaluations,
            "residuals": residuals,
            "overhead": overhead,
            "digits": digits_table,
        },
        said=__doc__,
    )
