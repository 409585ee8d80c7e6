"""How far apart the solutions of neighbouring timesteps lie, and how near a start is to them.

Drawn from `docs/tables/warm-start.csv`; `python docs/figures/warm_start.py measure` writes that
before.
"""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

import data
import fpdm
import style
from fpdm import batch
from problems import Problem, visit

NUM = 100
RUNS = (15, 60)  # timesteps, of two iterations each
INITS = ("features", "reuse", "extrapolate")
EXACT = 40  # evaluations after which nothing but rounding is left

COLOURS = {"features": style.RED, "reuse": style.BLUE, "extrapolate": style.GREEN}
DISTANCES = {"features to solution": style.RED, "last solution to solution": style.BLUE}


def measure() -> Iterator[dict[str, object]]:
    """A row for each timestep of each run: medians of the samples."""
    for steps in RUNS:
        yield from follow(steps)


def follow(steps: int) -> list[dict[str, object]]:
    """One run, whose own solves begin where `extrapolate` says."""
    rows: list[dict[str, object]] = []
    before: Tensor | None = None

    def look(problem: Problem) -> None:
        nonlocal before
        exact = fpdm.solver("anderson").solve(problem.f, problem.features, evals=EXACT).value
        rows.append(
            {
                "timesteps": steps,
                "timestep": problem.timestep,
                "features to solution": apart(exact, problem.features),
                "last solution to solution": "" if before is None else apart(exact, before),
                **{name: start_residual(name, problem) for name in INITS},
            }
        )
        before = exact

    visit(look, num=NUM, steps=steps, iterations=2, init="extrapolate")
    return rows


def apart(exact: Tensor, z: Tensor) -> float:
    """The median distance between solutions and other states, relative to the solutions."""
    return float((batch.norm(exact - z) / batch.norm(exact)).median())


def start_residual(name: str, problem: Problem) -> float | str:
    """The median residual where an init starts; nothing where it has too little to go on."""
    init, history = fpdm.init(name), tuple(problem.history)
    if len(history) < init.lookback:
        return ""
    z0 = init.initial(problem.features, history[len(history) - init.lookback :], problem.moment)
    return float(fpdm.trace("naive", problem.f, z0, evals=1).trace.median())


def draw() -> Figure:
    """Distances above, start residuals below; few timesteps at the left, many at the right."""
    rows = list(data.read("warm-start"))
    figure = style.card(5.8)
    grid = figure.subplots(2, len(RUNS), sharex=True, sharey=True)
    for across, lines in zip(grid, (DISTANCES, COLOURS), strict=True):
        for axes, steps in zip(across, RUNS, strict=True):
            run = [row for row in rows if int(row["timesteps"]) == steps]
            for column, colour in lines.items():
                points = [(int(row["timestep"]), float(row[column])) for row in run if row[column]]
                axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.5)
    grid[0][0].set(yscale="log", ylim=(0.005, 3), yticks=[0.01, 0.1, 1], xlim=(1010, -10))
    grid[0][0].yaxis.set_minor_locator(NullLocator())
    grid[0][0].yaxis.set_major_formatter("{x:g}")
    for axes, steps in zip(grid[0], RUNS, strict=True):
        axes.set_title(f"{steps} timesteps")
    for axes in grid[1]:
        axes.set(xlabel="diffusion timestep t", xticks=[999, 500, 0])
    grid[0][0].set_ylabel("relative distance\nfrom the solution")
    grid[1][0].set_ylabel("relative residual\nof the start")
    style.direct(grid[0][0], 985, 0.75, "the features", style.RED)
    style.direct(grid[0][0], 985, 0.3, "the last solution", style.BLUE)
    style.direct(grid[1][0], 985, 0.75, "features", style.RED)
    style.direct(grid[1][0], 700, 0.25, "reuse", style.BLUE)
    style.direct(grid[1][0], 640, 0.04, "extrapolate", style.GREEN)
    return figure


if __name__ == "__main__":
    style.main("warm-start", draw=draw, measure=measure)
