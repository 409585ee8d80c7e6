"""How five policies spend the same iterations over the timesteps.

Drawn from `docs/tables/allocations.csv`; `python docs/figures/allocations.py measure` writes
that before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import torch
from matplotlib.figure import Figure

import data
import fpdm
import style

NUM, STEPS = 100, 15
BUDGETS = (60, 105)
POLICIES = ("constant", "increasing", "decreasing", "adaptive", "measured")


def measure() -> Iterator[dict[str, object]]:
    """A row for each timestep of a run for each policy and budget."""
    torch.set_num_threads(1)
    pipe = fpdm.FPDMPipeline.digits()  # with the scheduler that its calibration is of
    pipe.set_progress_bar_config(disable=True)
    for budget in BUDGETS:
        for policy in POLICIES:
            steps = (
                pipe(
                    torch.arange(NUM) % 10,
                    budget=budget,
                    num_inference_steps=STEPS,
                    allocation=policy,
                    generator=torch.Generator().manual_seed(0),
                    output_type="latent",
                )
            ).steps
            for step in steps:
                yield {
                    "passes": budget,
                    "policy": policy,
                    "timestep": int(step.timestep),
                    "iterations": step.iterations,
                    "residual": float(step.residual.median()),
                }


COLOURS = {
    "constant": style.SOFT,
    "increasing": style.BLUE,
    "decreasing": style.RED,
    "adaptive": style.GREEN,
    "measured": style.PURPLE,
}


def draw() -> Figure:
    """Policies from top to bottom, budgets side by side."""
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in data.read("allocations"):
        found[int(row["passes"]), row["policy"]].append(int(row["iterations"]))
    figure = style.card(7.4)
    grid = figure.subplots(len(POLICIES), len(BUDGETS), sharex=True, sharey="col")
    for axes, budget in zip(grid[0], BUDGETS, strict=True):
        style.heading(axes, f"{budget} block passes")
    for across, policy in zip(grid, POLICIES, strict=True):
        for axes, budget in zip(across, BUDGETS, strict=True):
            iterations = found[budget, policy]
            axes.bar(range(1, STEPS + 1), iterations, width=0.8, color=COLOURS[policy])
            axes.set_title(f"{policy}, sum {sum(iterations)}", fontsize=10)
            axes.grid(axis="x", visible=False)
    for axes in grid[-1]:
        axes.set(xlabel="timestep, noise first", xticks=[1, 5, 10, 15])
    for axes in grid[:, 0]:
        axes.set_ylabel("iterations")
    grid[0][0].set_yticks(range(5))
    grid[0][1].set_yticks(range(0, 9, 2))
    return figure


if __name__ == "__main__":
    style.main("allocations", draw=draw, measure=measure)
