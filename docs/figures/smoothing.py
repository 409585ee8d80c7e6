"""One budget, spent on few timesteps with many iterations or on many with few.

Drawn from `docs/tables/smoothing.csv`; `python docs/figures/smoothing.py measure` writes
that before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import mean

from attrs import asdict
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import data
import style

BUDGET = 60
SPENDINGS = ((5, 10), (6, 8), (10, 4), (12, 3), (15, 2), (20, 1))

COLOURS = {"pre": style.ORANGE, "iteration": style.BLUE, "post": style.SOFT}


def measure() -> Iterator[dict[str, object]]:
    """A row for each number of timesteps and seed: carried Anderson acceleration, reuse."""
    for steps, iterations in SPENDINGS:
        for seed in range(data.SEEDS):
            found = data.quality(
                seed=seed,
                budget=BUDGET,
                num_inference_steps=steps,
                solver=data.CARRY,
                init="reuse",
            )
            yield {"timesteps": steps, "iterations": iterations, "seed": seed, **asdict(found)}


def draw() -> Figure:
    """A row of 60 cells for each spending, and beside it the distance that it bought."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in data.read("smoothing"):
        found[int(row["timesteps"]), int(row["iterations"])].append(float(row["pixels"]))
    figure = style.card(4.0)
    cells, bars = figure.subplots(1, 2, sharey=True, width_ratios=(2.7, 1))
    for place, (steps, iterations) in enumerate(SPENDINGS):
        passes = ["pre", *["iteration"] * iterations, "post"] * steps
        colours = [COLOURS[kind] for kind in passes]
        spans = [(cell, 1) for cell in range(BUDGET)]
        cells.broken_barh(
            spans, (place - 0.32, 0.64), facecolors=colours, edgecolor="white", linewidth=0.5
        )
        distance = mean(found[steps, iterations])
        bars.barh(place, distance, height=0.64, color=style.GREEN)
        bars.text(distance + 0.06, place, f"{distance:.2f}", va="center", fontsize=10)
    cells.set_yticks(range(len(SPENDINGS)), [f"{steps} × {k}" for steps, k in SPENDINGS])
    cells.invert_yaxis()
    cells.set(xlim=(0, BUDGET), xticks=[0, 20, 40, 60], xlabel="block passes")
    cells.set_ylabel("timesteps × iterations")
    cells.set_title("The same budget …")
    bars.set(xlim=(0, 2), xticks=[0, 1], xlabel="Fréchet distance")
    bars.set_title("… buys")
    for axes in (cells, bars):
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
    cells.spines["left"].set_visible(False)
    handles = [Patch(color=colour) for colour in COLOURS.values()]
    labels = ["explicit, before", "iteration", "explicit, after"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, handlelength=1)
    return figure


if __name__ == "__main__":
    style.main("smoothing", draw=draw, measure=measure)
