"""One budget spent as many timesteps of few iterations, or few of many, as Markdown tables.

    python tests/benchmarks/budgets.py [iterations] [guidance]

Each part is written to `docs/tables/budgets-PART.md`; without a part, all are. About 20 minutes on
one core.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from drawn import Figures, figures, largest_spread
from tables import head, row, write_parts

import fpdm

NUM, SEEDS = 1000, 3
BUDGETS, COUNTS = (24, 60, 120, 240), (1, 2, 3, 5, 10)


def iterations() -> Iterator[str]:
    """Fréchet distances of budget and iterations."""
    pipe, every, beyond = fpdm.FPDMPipeline.digits(), [], []
    yield from head("block passes", *(f"k = {count}" for count in COUNTS))
    for budget in BUDGETS:
        steps = {count: budget // (2 + count) for count in COUNTS}
        found = {k: _drawn(pipe, budget, num_inference_steps=steps[k]) for k in COUNTS}
        every += found.values()
        beyond += [each.beyond(found[2]) for each in found.values()]
        cells = (
            f"{steps[k]}: {each.mean.pixels:.3f} / {each.mean.features:.2f}"
            for k, each in found.items()
        )
        yield row(budget, *cells)
    pixels, features = largest_spread(every)
    paired, paired_features = largest_spread(beyond)
    yield ""
    yield (
        f"Timesteps: Fréchet distance in pixel space / in features. k iterations at each timestep, "
        f"and one more at some of the last where the budget does not divide. Reuse, the solver "
        f"that carries, DDIM; means over {SEEDS} seeds of {NUM} samples, which lie up to "
        f"{pixels:.3f} / {features:.2f} apart; what they say of the difference to k = 2 lies up to "
        f"{paired:.3f} / {paired_features:.2f} apart."
    )


def guidance(scales: tuple[float, ...] = (1.0, 1.25, 1.5, 2.0, 4.0)) -> Iterator[str]:
    """What guidance brings at one budget."""
    pipe = fpdm.FPDMPipeline.digits()
    yield from head(
        "guidance scale", "Fréchet distance, pixels / features", "read as asked for", "CPU time"
    )
    base = 0.0
    for scale in scales:
        began = time.process_time()
        found = _drawn(pipe, 60, guidance_scale=scale).mean
        taken = time.process_time() - began
        base = base or taken
        distances = f"{found.pixels:.2f} / {found.features:.2f}"
        yield row(f"{scale:g}", distances, f"{found.read:.1%}", f"{taken / base:.1f} ×")
    yield ""
    yield (
        f"60 block passes, 15 timesteps of two iterations, reuse, the solver that carries; means "
        f"over {SEEDS} seeds of {NUM} samples. Judging the samples is in the time."
    )


def _drawn(pipe: fpdm.FPDMPipeline, budget: int, **settings: object) -> Figures:
    return figures(pipe, num=NUM, seeds=SEEDS, budget=budget, init="reuse", **settings)


PARTS = {"iterations": iterations, "guidance": guidance}


if __name__ == "__main__":
    write_parts("budgets", PARTS, said=__doc__)
