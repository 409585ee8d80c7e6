"""What plans and measured allocations buy, as the Markdown tables of the documentation.

python tests/benchmarks/plans.py [errors] [quality] [seconds]

Writes `docs/tables/plans-PART.md`, `errors` in ten minutes on one core, `quality` in half an hour,
`seconds` in a minute on an idle machine.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from statistics import mean, median
from typing import Any

import torch
from drawn import figures
from tables import head, machine, row, write_parts

import fpdm
from fpdm.calibration import Way
from fpdm.errors import FPDMError
from fpdm.planning import plan
from fpdm.planning.finals import Finals, mean_square

BUDGETS = (24, 36, 60, 120, 240)
NUM, SEEDS = 2000, 3
ALLOCATIONS = ("constant", "increasing", "decreasing", "adaptive", "measured")
LONG = {"budget": 960, "steps": 160}
SAMPLES = 256
NEIGHBOURS = {
    "scheduler": ("dpm++",),
    "spacing": ("quadratic", "log-snr"),
    "solver": ("naive",),
    "init": (None, "features"),
    "allocation": (None, "increasing", "adaptive"),
}
"""What is put in the place of a choice of a plan, one at a time; None is the usual one."""
MOST = 24
"""Passes up to which that is done: with more of them nothing differs by more than the spread."""
SECONDS = (0.5, 1.0, 4.0)
ROUNDS = 5
BATCH = 64


def errors() -> Iterator[str]:
    """How far samples end from those of a long run, by allocation and solver."""
    found = {}
    for seed in range(1, SEEDS + 1):  # 0 is the noise of the calibration
        finals = finals_of(seed)
        way = Way(scheduler="unipc", spacing="late")
        goal = finals.of(way.having("iterations", 4), **LONG).samples
        for solver in (None, "naive"):
            for budget in BUDGETS:
                for allocation in ALLOCATIONS:
                    chosen = way.having("allocation", allocation).having("solver", solver)
                    off = mean_square(finals.of(chosen, budget).samples, goal) ** 0.5
                    found.setdefault((solver, budget, allocation), []).append(off)
    for solver in (None, "naive"):
        yield from head("solver", "passes", *(f"`{each}`" for each in ALLOCATIONS))
        for budget in BUDGETS:
            by = [found[solver, budget, allocation] for allocation in ALLOCATIONS]
            spread = (f"{mean(each):.4f} ± {(max(each) - min(each)) / 2:.4f}" for each in by)
            yield row(f"`{solver}`" if solver else "the usual one", budget, *spread)
        yield ""
    yield (
        f"{SAMPLES} samples from each of {SEEDS} noises that were not calibrated with, by UniPC "
        f"on late timesteps, two iterations at each on average; ± is half of what lies between the "
        f"least and the greatest of the noises. The long run has {LONG['budget']} block passes."
    )
    yield from beyond(found)


def beyond(found: dict[tuple[Any, int, str], list[float]]) -> Iterator[str]:
    """The same noise by noise, where what they share cancels."""
    yield ""
    yield from head("solver", "passes", *(f"`{each}`" for each in ALLOCATIONS[1:]))
    for solver in (None, "naive"):
        for budget in BUDGETS:
            usual = found[solver, budget, "constant"]
            cells = []
            for allocation in ALLOCATIONS[1:]:
                pairs = zip(found[solver, budget, allocation], usual, strict=True)
                ratios = [100 * (ours / theirs - 1) for ours, theirs in pairs]
                cells.append(f"{mean(ratios):+.1f} % ({min(ratios):+.1f} to {max(ratios):+.1f})")
            yield row(f"`{solver}`" if solver else "the usual one", budget, *cells)
    yield ""
    yield "Beyond `constant`, noise by noise, in the brackets the least and the greatest."


def quality() -> Iterator[str]:
    """Fréchet distances of a plan, of the usual call, and of what is around the plan."""
    pipe = fpdm.FPDMPipeline.digits()
    yield from head("passes", "by", "pixels", "features")
    for budget in BUDGETS:
        choice = plan(pipe, budget=budget)
        runs: dict[str, dict[str, Any]] = {
            '`plan="auto"`': choice.settings,
            "the usual call": {"budget": budget},
        }
        for iterations in (1, 3) if budget <= MOST else ():
            changed = choice.way.having("iterations", iterations)
            steps = changed.steps(budget, explicit=2)
            runs[f"`iterations={iterations}`"] = choice.settings | {"num_inference_steps": steps}
        for name, others in NEIGHBOURS.items():
            for other in others if budget <= MOST else ():
                if other != choice.settings.get(name):
                    said = "the usual " + name if other is None else f"`{name}={other}`"
                    runs[said] = choice.settings | {name: other}
        for said, settings in runs.items():
            try:
                drawn = figures(pipe, num=NUM, seeds=SEEDS, **{"scheduler": None} | settings)
            except FPDMError as error:  # what was measured is of other timesteps
                yield row(budget, said, "refused", str(error).partition(".")[0])
                continue
            yield row(
                budget,
                said,
                f"{drawn.mean.pixels:.4f} ± {drawn.spread.pixels / 2:.4f}",
                f"{drawn.mean.features:.3f} ± {drawn.spread.features / 2:.3f}",
            )
        yield row(budget, f"the plan: `{choice.call}`", "", "")


def seconds() -> Iterator[str]:
    """What runs take that were planned for so many seconds."""
    torch.set_num_threads(2)
    pipe = fpdm.FPDMPipeline.digits()
    pipe.set_progress_bar_config(disable=True)
    labels = torch.arange(BATCH) % 10
    yield from head("asked for", "took", "of what was asked", "passes", "by")
    for asked in SECONDS:
        choice = plan(pipe, seconds=asked, count=BATCH)
        took = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            pipe(labels, output_type="latent", **choice.settings)
            took.append(time.perf_counter() - started)
        of_asked = (
            f"{median(took) / asked:.2f} ({min(took) / asked:.2f} to {max(took) / asked:.2f})"
        )
        yield row(
            f"{asked} s", f"{median(took):.2f} s", of_asked, choice.budget, f"`{choice.call}`"
        )
    yield ""
    yield f"{BATCH} digits, the median of {ROUNDS} runs. {machine()}"


def finals_of(seed: int) -> Finals:
    """Draws from one noise."""
    pipe = fpdm.FPDMPipeline.digits()
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(SAMPLES, *pipe.sample_shape, generator=torch.Generator().manual_seed(seed))
    return Finals(pipe, noise, {"class_labels": torch.arange(SAMPLES) % 10}, {})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write_parts("plans", {"errors": errors, "quality": quality, "seconds": seconds}, said=__doc__)
