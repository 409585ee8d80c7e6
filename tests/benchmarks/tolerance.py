"""What a tolerance saves, and what it buys, as the Markdown tables of the documentation.

    python tests/benchmarks/tolerance.py [leaving] [quality] [few]

Each part is written to `docs/tables/tolerance-PART.md`; without a part, all are. Times are those of
the processor, of one thread: medians of interleaved runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
from drawn import Figures, figures
from tables import head, machine, row, write_parts
from torch import Tensor

import fpdm
from fpdm.models.conditioning import Conditioning

BATCH, EVALS = 64, 8
SHARES = {
    "a quarter leaves after 1, a quarter after 2, half stays": [1, 2, 8, 8],
    "evenly, an eighth after each": [1, 2, 3, 4, 5, 6, 7, 8],
    "seven of eight leave after 1": [1, 1, 1, 1, 1, 1, 1, 8],
}
SOLVERS = {"naive": {}, "anderson, carry": {"carry": True}}
TOLERANCES = (0.2, 0.1, 0.05)


class Settling:
    """A map that keeps the state of a sample from some evaluation on: its residual is 0 then.

    Args:
        f: another, which can be had for some samples.
        last: the evaluation at which each sample settles, (B,).
        made: evaluations until now, [n].
    """

    def __init__(self, f: Callable, last: Tensor, made: list[int]) -> None:
        self.f, self.last, self.made = f, last, made

    def __call__(self, z: Tensor) -> Tensor:
        self.made[0] += 1
        image, settled = self.f(z), self.last <= self.made[0]
        image[settled] = z[settled]
        return image

    def select(self, rows: Tensor) -> Settling:
        return Settling(self.f.select(rows), self.last[rows], self.made)


class Whole:
    """The same without a way to leave anybody out."""

    def __init__(self, f: Callable) -> None:
        self.f = f

    def __call__(self, z: Tensor) -> Tensor:
        return self.f(z)


def blocks() -> dict[str, tuple[Callable, Tensor, int]]:
    """The map of a timestep at batch 64, where it starts, and how many runs are timed."""
    torch.manual_seed(0)
    big = fpdm.FPDiT.from_preset("S/2", sample_size=32, in_channels=4, num_classes=1000).eval()
    small = fpdm.FPDMPipeline.digits().model
    found = {}
    for name, model, tokens, runs in (("S/2, 32 × 32", big, 256, 3), ("digits", small, 16, 25)):
        width = model.config["hidden_size"]
        features, cond = torch.randn(BATCH, tokens, width), torch.randn(BATCH, width)
        f = model.layer.block.bind(features, Conditioning(cond, cond))
        found[name] = f, features, runs
    return found


def leaving() -> Iterator[str]:
    """How much of the time of the evaluations that are saved is saved."""
    with torch.no_grad():
        yield from head(
            *("network", "solver", "samples", "evaluations saved", "ms of one"),
            *("ms whole batch", "ms leaving", "saved of their time"),
        )
        for network, (f, x0, runs) in blocks().items():
            for solver, options in SOLVERS.items():
                method = fpdm.solver(solver.partition(",")[0], **options)
                for said, shares in SHARES.items():
                    yield row(network, solver, said, *_saved(f, x0, method, shares, runs))
    yield ""
    yield (
        f"Batch {BATCH}, {EVALS} evaluations granted, float32. The last column is what leaving "
        f"saves by what the evaluations that were not made cost in the whole batch. Medians of "
        f"interleaved runs, 3 of S/2 and 25 of the digits, in processor time. {machine()}"
    )


def _saved(
    f: Callable, x0: Tensor, method: fpdm.FixedPointSolver, shares: list[int], runs: int
) -> Iterator[str]:
    last = torch.tensor(shares).repeat(BATCH // len(shares))

    def solve(wrap: Callable) -> fpdm.Solution:
        return method.solve(wrap(Settling(f, last, [0])), x0, evals=EVALS, tol=1e-12)

    ways: dict[str, Callable] = {
        "one": lambda: f(x0),
        "whole": lambda: solve(Whole),
        "left": lambda: solve(lambda each: each),
    }
    f(x0)  # warms up
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, run in ways.items():
            began = time.process_time()
            made = run()
            times[name].append(1e3 * (time.process_time() - began))
    assert torch.equal(made.counts, last)
    spent = median(times["one"])
    saved = EVALS - last.double().mean().item()
    share = (median(times["whole"]) - median(times["left"])) / (saved * spent)
    yield f"{saved:.1f} of {EVALS}"
    yield _three(spent)
    yield _three(median(times["whole"]))
    yield _three(median(times["left"]))
    yield f"{share:.0%}"


def _three(number: float) -> str:
    """Three digits that count, and no power of ten."""
    return f"{float(f'{number:.3g}'):,g}"


def quality(budget: int = 60, steps: int = 12, *, num: int = 1000, seeds: int = 3) -> Iterator[str]:
    """What a tolerance draws, and what the same passes draw that are spent evenly."""
    pipe = fpdm.FPDMPipeline.digits()

    def measure(**settings: object) -> Figures:
        return figures(pipe, num=num, seeds=seeds, scheduler=None, **settings)

    said = f"budget {budget}, {steps} timesteps"
    yield from head(said, "passes", "stopping", "evenly", "two iterations")
    for tol in (None, *TOLERANCES):
        stopped = measure(budget=budget, num_inference_steps=steps, tol=tol)
        passes = round(stopped.mean.passes)
        evenly = measure(budget=passes, num_inference_steps=steps)
        two = measure(budget=passes)
        found = [each.mean.pixels for each in (stopped, evenly, two)]
        half = [each.spread.pixels / 2 for each in (stopped, evenly, two)]
        yield row(
            "no tolerance" if tol is None else f"`tol={tol}`",
            f"{stopped.mean.passes:.1f}",
            *(f"{mean:.3f} ± {by:.3f}" for mean, by in zip(found, half, strict=True)),
        )
    yield ""
    yield (
        f"Fréchet distance in pixel space, {num} samples, all in one batch; mean and half the "
        f"spread of {seeds} seeds. Evenly: as many passes, rounded, over the same timesteps by "
        f"`constant`. Two iterations: as many passes at as many timesteps as leave two each, the "
        f"default."
    )


def few() -> Iterator[str]:
    """The same at few timesteps, where more is missing."""
    yield from quality(budget=36, steps=6)


if __name__ == "__main__":
    write_parts("tolerance", {"leaving": leaving, "quality": quality, "few": few}, said=__doc__)
