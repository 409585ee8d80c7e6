"""What a budget buys: Fréchet distance against block passes.

Drawn from `docs/tables/budget.csv`; `python docs/figures/budget.py measure` writes that before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import mean

from attrs import asdict
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

import data
import style

BUDGETS = (24, 36, 60, 120, 240)
WAYS = {
    "k = 10": {"iterations": 10, "solver": data.CARRY, "init": "features"},
    "k = 2, naive": {"iterations": 2, "solver": data.NAIVE, "init": "features"},
    "k = 2, naive, reuse": {"iterations": 2, "solver": data.NAIVE, "init": "reuse"},
    "k = 2, carry, reuse": {"iterations": 2, "solver": data.CARRY, "init": "reuse"},
}


def measure() -> Iterator[dict[str, object]]:
    """A row for each way, budget and seed."""
    for budget in BUDGETS:
        for name, way in WAYS.items():
            steps = budget // (2 + way["iterations"])
            for seed in range(data.SEEDS):
                found = data.quality(
                    seed=seed,
                    budget=budget,
                    num_inference_steps=steps,
                    solver=way["solver"],
                    init=way["init"],
                )
                yield {
                    "way": name,
                    "passes": budget,
                    "timesteps": steps,
                    "seed": seed,
                    **asdict(found),
                }


LOOKS = {
    "k = 10": (style.RED, "s", "-"),
    "k = 2, naive": (style.ORANGE, "v", "--"),
    "k = 2, naive, reuse": (style.GREEN, "^", "--"),
    "k = 2, carry, reuse": (style.BLUE, "o", "-"),
}
LABELS = {
    "k = 10": "10 iterations, from features",
    "k = 2, naive": "2 plain iterations, from features",
    "k = 2, naive, reuse": "2 plain iterations, reuse",
    "k = 2, carry, reuse": "2 iterations, carry and reuse",
}


def draw() -> Figure:
    """Means over the seeds, on two logarithmic axes."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in data.read("budget"):
        found[row["way"]][int(row["passes"])].append(float(row["pixels"]))
    figure = style.card(5.2)
    axes = figure.add_subplot()
    for way, (colour, marker, dashes) in LOOKS.items():
        passes = sorted(found[way])
        distances = [mean(found[way][each]) for each in passes]
        axes.plot(
            passes, distances, color=colour, marker=marker, linestyle=dashes, label=LABELS[way]
        )
    axes.set(xscale="log", yscale="log", xlabel="budget (block passes for an image)")
    axes.set_title("Fréchet distance to the real digits\n(pixel space; lower is better)")
    axes.xaxis.set_major_locator(FixedLocator(BUDGETS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(FixedLocator((0.1, 0.2, 0.5, 1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower center", ncols=1)
    return figure


if __name__ == "__main__":
    style.main("budget", draw=draw, measure=measure)
