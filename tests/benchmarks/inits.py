"""Where solves start, on the digits, as the Markdown tables of the documentation.

    python tests/benchmarks/inits.py [quality] [residuals]

Each part is written to `docs/tables/inits-PART.md`; without a part, all are. About 30 minutes on
one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from drawn import Figures, figures, largest_spread
from tables import head, row, write_parts

import fpdm

NUM, SEEDS, STEPS = 1000, 2, 15
COUNTS = (1, 2, 3, 5)
INITS = {
    "features": {"name": "features"},
    "reuse": {"name": "reuse"},
    "extrapolate, 0.25": {"name": "extrapolate", "step": 0.25},
    "extrapolate, 0.5": {"name": "extrapolate", "step": 0.5},
    "extrapolate, 1.0": {"name": "extrapolate", "step": 1.0},
    "extrapolate, 0.25, log-SNR": {"name": "extrapolate", "step": 0.25, "by": "log-snr"},
    "extrapolate, 0.5, log-SNR": {"name": "extrapolate", "step": 0.5, "by": "log-snr"},
    "extrapolate, 1.0, log-SNR": {"name": "extrapolate", "step": 1.0, "by": "log-snr"},
}
SOLVERS = {
    "naive": {"name": "naive"},
    "anderson, carry": {"name": "anderson", "carry": True},
}


@cache
def measured(init: str, solver: str, count: int) -> Figures:
    """What an init brings; one iteration is the same with every solver."""
    if count == 1 and solver != "naive":
        return measured(init, "naive", count)
    return figures(
        fpdm.FPDMPipeline.digits(),
        num=NUM,
        seeds=SEEDS,
        budget=STEPS * (2 + count),
        num_inference_steps=STEPS,
        solver=SOLVERS[solver],
        init=INITS[init],
    )


def quality() -> Iterator[str]:
    """Fréchet distances."""
    yield from _table(lambda found: f"{found.mean.pixels:.3f} / {found.mean.features:.2f}")
    every = [(init, solver, k) for init in INITS for solver in SOLVERS for k in COUNTS]
    near = [each for each in every if measured(*each).mean.pixels < 1]
    pixels, features = largest_spread([measured(*each) for each in near])
    beyond = [measured(*each).beyond(measured("reuse", *each[1:])) for each in near]
    paired, paired_features = largest_spread(beyond)
    yield ""
    yield (
        f"Fréchet distance in pixel space / in features, at k iterations in each of {STEPS} "
        f"timesteps, so at {', '.join(str(STEPS * (2 + k)) for k in COUNTS)} block passes. Means "
        f"over {SEEDS} seeds of {NUM} samples. Where the distance is below 1, the seeds lie up to "
        f"{pixels:.3f} / {features:.2f} apart, and what they say of the difference to reuse up to "
        f"{paired:.3f} / {paired_features:.2f}."
    )


def residuals() -> Iterator[str]:
    """Residuals before and after."""
    yield from _table(lambda found: f"{found.mean.start:.1e} → {found.mean.end:.1e}")
    yield ""
    yield (
        "Relative residual at the first evaluation of a timestep → at its last, which with k = 1 "
        "is the same one: medians over the samples, means over all timesteps but the noisiest."
    )


def _table(cell) -> Iterator[str]:
    yield from head("solver", "init", *(f"k = {count}" for count in COUNTS))
    for solver in SOLVERS:
        for init in INITS:
            yield row(solver, init, *(cell(measured(init, solver, count)) for count in COUNTS))


if __name__ == "__main__":
    write_parts("inits", {"quality": quality, "residuals": residuals}, said=__doc__)
