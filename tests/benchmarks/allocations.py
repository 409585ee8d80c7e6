"""How a budget of iterations is spread, on the digits, as the Markdown tables of the documentation.

    python tests/benchmarks/allocations.py [few] [many] [plans] [last]

Each part is written to `docs/tables/allocations-PART.md`; without a part, all are. About 20 minutes
on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from attrs import frozen
from drawn import figures, largest_spread
from tables import head, row, write_parts

import fpdm
from fpdm.plugins import host

NUM, SEEDS = 1000, 2
COUNTS = (2, 3, 5)
FEW, MANY = 6, 15
"""Timesteps of a small and of a larger budget."""
OURS = [each for each in host().components("allocation") if each.origin.package == "fpdm"]
ALLOCATIONS = [each.name for each in OURS if each.name not in ("measured", "weighted")]
"""What needs no calibration of these timesteps, and no iterations of the user's."""
SOLVERS = {
    "naive": {"name": "naive"},
    "anderson, carry": {"name": "anderson", "carry": True},
}


def qualities(steps: int) -> Iterator[str]:
    """Fréchet distances and what the solves leave."""
    yield from head("solver", "allocation", *(f"k = {count}" for count in COUNTS))
    pipe = fpdm.FPDMPipeline.digits()
    found = {
        (solver, allocation, count): figures(
            pipe,
            num=NUM,
            seeds=SEEDS,
            budget=steps * (2 + count),
            num_inference_steps=steps,
            solver=spec,
            allocation=allocation,
            init="reuse",
        )
        for solver, spec in SOLVERS.items()
        for allocation in ALLOCATIONS
        for count in COUNTS
    }
    for solver in SOLVERS:
        for allocation in ALLOCATIONS:
            cells = []
            for count in COUNTS:
                drawn = found[solver, allocation, count].mean
                cells.append(f"{drawn.pixels:.3f} / {drawn.features:.2f} / {drawn.left:.0e}")
            yield row(solver, allocation, *cells)
    beyond = [
        each.beyond(found[solver, "constant", count]) for (solver, _, count), each in found.items()
    ]
    pixels, features = largest_spread(list(found.values()))
    paired, paired_features = largest_spread(beyond)
    yield ""
    yield (
        f"Fréchet distance in pixel space / in features / residual, at k iterations on average in "
        f"{steps} timesteps, so at {', '.join(str(steps * (2 + k)) for k in COUNTS)} block passes. "
        f"Each solve starts from the last solution. Means over {SEEDS} seeds of {NUM} samples, "
        f"which lie up to {pixels:.3f} / {features:.2f} apart; what they say of the difference to "
        f"`constant` lies up to {paired:.3f} / {paired_features:.2f} apart. The residual is the "
        f"mean over the timesteps of the median over the samples."
    )


def plans(budget: int = 60, steps: int = 15, num: int = 200) -> Iterator[str]:
    """The iterations themselves."""
    pipe = fpdm.FPDMPipeline.digits()
    pipe.set_progress_bar_config(disable=True)
    yield from head("allocation", "iterations, noise first")
    for allocation in (*ALLOCATIONS, "measured"):
        result = pipe(
            [index % 10 for index in range(num)],
            budget=budget,
            num_inference_steps=steps,
            allocation=allocation,
            init="reuse",
            output_type="pt",
        )
        yield row(allocation, " ".join(str(step.iterations) for step in result.steps))
    yield ""
    yield (
        f"{budget} block passes in {steps} timesteps: {budget - 2 * steps} iterations. `adaptive` "
        f"decides while it draws, here for {num} digits with the solver that carries, and "
        f"`measured` has looked at their calibration."
    )


@frozen
class Given(fpdm.AllocationPolicy):
    """Iterations that were written down."""

    counts: tuple[int, ...]

    def iterations(self, moment: fpdm.Moment, **_: object) -> float:
        return self.counts[moment.index]


def last(steps: int = 15) -> Iterator[str]:
    """One iteration moved to the last timestep, or from it."""
    pipe = fpdm.FPDMPipeline.digits()
    twos = (2,) * (steps - 2)
    plans = {
        "2 everywhere": (*twos, 2, 2),
        "3 at the last, 1 at the first": (1, *twos, 3),
        "3 at the first, 1 at the last": (3, *twos, 1),
        "3 at the first, 1 in the middle": (3, *twos[: steps // 2], 1, *twos[steps // 2 + 1 :], 2),
        "3 at the last but one, 1 at the last": (*twos, 3, 1),
        "1 at the last but one, 3 at the last": (*twos, 1, 3),
    }
    yield from head("iterations", *SOLVERS)
    every = []
    for name, counts in plans.items():
        cells = []
        for spec in SOLVERS.values():
            found = figures(
                pipe,
                num=NUM,
                seeds=SEEDS,
                budget=2 * steps + sum(counts),
                num_inference_steps=steps,
                solver=spec,
                allocation=Given(counts),
                init="reuse",
            )
            every.append(found)
            cells.append(f"{found.mean.pixels:.3f} / {found.mean.features:.2f}")
        yield row(name, *cells)
    pixels, features = largest_spread(every)
    yield ""
    yield (
        f"Fréchet distance in pixel space / in features, {4 * steps} block passes in {steps} "
        f"timesteps; means over {SEEDS} seeds of {NUM} samples, which lie up to {pixels:.3f} / "
        f"{features:.2f} apart."
    )


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "few": partial(qualities, FEW),
    "many": partial(qualities, MANY),
    "plans": plans,
    "last": last,
}


if __name__ == "__main__":
    write_parts("allocations", PARTS, said=__doc__)
