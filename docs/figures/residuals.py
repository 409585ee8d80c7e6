"""How the residual falls from evaluation to evaluation, by solver, start and timestep.

Drawn from `docs/tables/residuals.csv`; `python docs/figures/residuals.py measure` writes
that before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from attrs import frozen
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

import data
import fpdm
import style
from fpdm import FixedPointSolver, Solution
from problems import Problem, visit

NUM, STEPS, EVALS = 100, 15, 12
SHOWN = (2, 8, 13)  # in sampling order, of 15 timesteps
SOLVERS = ("naive", "anderson", "broyden", "torchdeq-anderson", "torchdeq-broyden")


@frozen(eq=False)
class GoingOn(FixedPointSolver):
    """A solver that goes on from what an earlier solve has carried."""

    solver: FixedPointSolver
    before: Solution

    def solve(
        self, f: Callable[[Tensor], Tensor], x0: Tensor, *, evals: int, tol: float | None = None
    ) -> Solution:
        """Solve, with the `carry` of the solution before."""
        return self.solver.solve(f, x0, evals=evals, tol=tol, carry=self.before.carry)


def measure() -> Iterator[dict[str, object]]:
    """A row for each timestep, start, solver and evaluation: the median residual of the samples."""
    rows: list[dict[str, object]] = []

    def look(problem: Problem) -> None:
        if problem.index not in SHOWN:
            return
        last = problem.history[-1].solution
        carrying = GoingOn(fpdm.solver("anderson", carry=True), last)
        for start, z0 in {"features": problem.features, "reuse": last.value}.items():
            solvers = {name: fpdm.solver(name) for name in SOLVERS}
            if start == "reuse":
                solvers["anderson, carry"] = carrying
            for name, solver in solvers.items():
                trace = fpdm.trace(solver, problem.f, z0, evals=EVALS).trace
                for evaluation, residual in enumerate(trace.median(dim=1).values.tolist(), start=1):
                    rows.append(
                        {
                            "timestep": problem.timestep,
                            "start": start,
                            "solver": name,
                            "evaluation": evaluation,
                            "residual": residual,
                        }
                    )

    visit(look, num=NUM, steps=STEPS, iterations=2)
    yield from rows


LOOKS = {  # torchdeq's are rings on the lines of this library
    "naive": {"color": style.SOFT},
    "anderson": {"color": style.RED},
    "broyden": {"color": style.BLUE},
    "torchdeq-anderson": {"color": style.RED, "linestyle": "none", "marker": "o"},
    "torchdeq-broyden": {"color": style.BLUE, "linestyle": "none", "marker": "s"},
    "anderson, carry": {"color": style.GREEN, "marker": "D", "markerfacecolor": style.GREEN},
}
STARTS = {"features": "from features", "reuse": "from the last solution"}


def draw() -> Figure:
    """Timesteps from top to bottom, the two starts side by side."""
    curves: dict[tuple[int, str, str], list[float]] = defaultdict(list)
    for row in data.read("residuals"):
        key = (int(row["timestep"]), row["start"], row["solver"])
        curves[key].append(float(row["residual"]))
    timesteps = sorted({timestep for timestep, _, _ in curves}, reverse=True)
    figure = style.card(7.0)
    grid = figure.subplots(len(timesteps), 2, sharex=True, sharey=True)
    for across, timestep in zip(grid, timesteps, strict=True):
        for axes, start in zip(across, STARTS, strict=True):
            for solver, look in LOOKS.items():
                curve = curves.get((timestep, start, solver), [])
                shown = {"markersize": 4, "markerfacecolor": "white"} | look
                axes.plot(range(1, len(curve) + 1), curve, label=solver, **shown)
        across[0].set_ylabel(f"t = {timestep}")
    for axes, title in zip(grid[0], STARTS.values(), strict=True):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set(xlabel="evaluation of f", xticks=[1, 2, 4, 6, 8, 10, 12], xlim=(0.5, 12.5))
    grid[0][0].set(yscale="log", ylim=(1e-5, 3), yticks=[1, 0.1, 0.01, 0.001, 1e-4, 1e-5])
    grid[0][0].yaxis.set_minor_locator(NullLocator())
    handles, labels = grid[0][1].get_legend_handles_labels()
    title = "Relative residual at each evaluation (median of 100 samples)"
    figure.legend(handles, labels, loc="outside upper left", ncols=2, title=title)
    return figure


if __name__ == "__main__":
    style.main("residuals", draw=draw, measure=measure)
