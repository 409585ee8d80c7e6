"""Whether it matters where in the sampling the iterations are spent: a table, and no picture.

`python docs/figures/reallocation.py` draws digits for `docs/tables/reallocation.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

import data

BUDGET, STEPS = 60, 12
POLICIES = ("increasing", "constant", "decreasing")
SOLVERS = {"naive": data.NAIVE, "anderson, carry": data.CARRY}


def measure() -> Iterator[str]:
    """The lines of a Markdown table, a row for each solver."""
    yield f"| solver | {' | '.join(POLICIES)} | largest spread |"
    yield "| --- | --- | --- | --- | --- |"
    for name, solver in SOLVERS.items():
        cells, spreads = [], []
        for policy in POLICIES:
            runs = [
                data.quality(
                    seed=seed,
                    budget=BUDGET,
                    num_inference_steps=STEPS,
                    solver=solver,
                    init="reuse",
                    allocation=policy,
                )
                for seed in range(data.SEEDS)
            ]
            pixels, features = [run.pixels for run in runs], [run.features for run in runs]
            spreads.append((max(pixels) - min(pixels), max(features) - min(features)))
            cells.append(f"{mean(pixels):.3f} / {mean(features):.2f}")
        pixel_spread, feature_spread = (max(column) for column in zip(*spreads, strict=True))
        yield f"| {name} | {' | '.join(cells)} | {pixel_spread:.3f} / {feature_spread:.2f} |"
    yield ""
    yield (
        f"Fréchet distance in pixel space / in features at {BUDGET} block passes: {STEPS} "
        f"timesteps with 3 iterations on average, each solve from the last solution. Means over "
        f"{data.SEEDS} seeds of {data.NUM} samples; spread: maximum - minimum over the seeds."
    )


if __name__ == "__main__":
    text = "\n".join(measure()) + "\n"
    (data.TABLES / "reallocation.md").write_text(text, encoding="utf-8")
