"""What an implicit network gains by beginning as an explicit one, as the tables of the docs.

    python tests/benchmarks/starts.py [loss] [quality]

Each part is written to `docs/tables/starts-PART.md`; without a part, both are. What is trained is
kept under `runs/starts`, and not trained again where it is there. About 30 minutes on one core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import mean

import torch
from attrs import evolve
from tables import head, machine, row, write_parts

import fpdm
from fpdm.data import digits
from fpdm.evaluation import DigitClassifier, frechet_distance
from fpdm.models.grown import BLOCK, mixing
from fpdm.training import TrackingConfig, TrainConfig, Training, load_config
from fpdm.training.engine import put_weights

RUNS = Path("runs/starts")
SMALLER = (
    "model.hidden_size=96",
    "model.gradient.max_no_grad=6",
    "model.gradient.max_grad=6",
)
"""Than the network of the package: several are trained here."""

EXPLICIT, STEPS, WINDOW = 1500, 1200, 100
AT = (100, 200, 400, 600, 900, 1200)
NUM, SEEDS, BUDGET, TIMESTEPS = 1000, 3, 60, 15
DIT = {"network": "dit", "patch_size": 2, "hidden_size": 96, "num_heads": 4, "depth": 4}
SHARES = {"a = 0": 0.0}
"""Of the iterate in what enters the block, in place of what the library takes: 1/2 here."""


def main() -> None:
    write_parts("starts", {"loss": loss, "quality": quality}, said=__doc__)


def loss() -> Iterator[str]:
    """How the loss falls."""
    scratch = losses("scratch", STEPS)
    wanted = smoothed(scratch, STEPS)
    yield from head("begun with", *(f"step {at}" for at in AT), f"{wanted:.4f} first at step")
    rows = {
        "random weights": scratch,
        "the DiT, a = 1/2": losses("dit", STEPS),
        **{f"the DiT, {name}": losses(name, STEPS) for name in SHARES},
    }
    for name, found in rows.items():
        first = next(at for at in range(WINDOW, STEPS + 1) if smoothed(found, at) <= wanted)
        yield row(name, *(f"{smoothed(found, at):.4f}" for at in AT), first)
    yield ""
    yield (
        f"Mean loss of the last {WINDOW} steps. One seed: batches, noise and timesteps of a step "
        f"are the same in all rows, and so is the schedule of {STEPS} steps. The DiT, of 4 blocks, "
        f"was trained for {EXPLICIT} steps before. {machine()}"
    )


def quality() -> Iterator[str]:
    """How far samples are from the digits."""
    yield from head("network", "steps", "Fréchet distance: pixels / features", "read as asked for")
    for name, steps, kind in (
        ("DiT, 4 blocks", EXPLICIT, "explicit"),
        ("FPDiT from random weights", STEPS, "scratch"),
        ("FPDiT from the DiT, a = 1/2", STEPS, "dit"),
        *((f"FPDiT from the DiT, {name}", STEPS, name) for name in SHARES),
    ):
        found = [drawn(folder(kind, steps), seed) for seed in range(SEEDS)]
        pixels, features, read = (mean(column) for column in zip(*found, strict=True))
        yield row(name, steps, f"{pixels:.3f} / {features:.2f}", f"{read:.1%}")
    yield ""
    yield (
        f"{NUM} samples at {BUDGET} block passes in {TIMESTEPS} timesteps, with solver and init of "
        f"the configuration; means over {SEEDS} seeds of the sampling. Each network has a schedule "
        f"of its own number of steps."
    )


def smoothed(found: list[float], at: int) -> float:
    """The mean loss of the steps up to one."""
    return mean(found[at - WINDOW : at])


def losses(kind: str, steps: int) -> list[float]:
    """The loss of each step."""
    kept: list[float] = json.loads((folder(kind, steps) / "losses.json").read_text())
    return kept


@cache
def folder(kind: str, steps: int) -> Path:
    """Where a training is kept, which is done now if it is not there."""
    place = RUNS / f"{kind}-{steps}"
    if (place / "losses.json").exists():
        return place
    training = begun(kind, steps)
    found = [progress.loss for progress in training]
    training.pipeline().save_pretrained(place)
    (place / "losses.json").write_text(json.dumps(found))
    return place


def begun(kind: str, steps: int) -> Training:
    """A training at its beginning."""
    given = [f"steps={steps}", *SMALLER]
    config = evolve(load_config("digits", given), tracking=TrackingConfig())
    if kind == "scratch":
        return Training(config)
    if kind == "explicit":
        return Training(evolve(config, model=DIT))
    training = Training(evolve(config, start_from=folder("explicit", EXPLICIT)))
    training.start()
    if kind in SHARES:
        remix(training, config, SHARES[kind])
    return training


def remix(training: Training, config: TrainConfig, share: float) -> None:
    """Begin the mixing layers with another share of the iterate."""
    made = mixing(config.model["hidden_size"], share=share)
    mixed = {f"{BLOCK}{name}": value for name, value in made.items()}
    put_weights(training.network, {**training.bare.state_dict(), **mixed})
    for kept, weight in zip(training.ema.shadow_params, training.bare.parameters(), strict=True):
        kept.copy_(weight.detach())


def drawn(place: Path, seed: int) -> tuple[float, float, float]:
    """Fréchet distance in pixels and features, and the share read as asked for."""
    pipe = fpdm.FPDMPipeline.from_pretrained(place)
    pipe.set_progress_bar_config(disable=True)
    labels = torch.arange(NUM) % 10
    drawing = torch.Generator().manual_seed(seed)
    result = pipe(
        labels,
        budget=BUDGET,
        num_inference_steps=TIMESTEPS,
        generator=drawing,
        output_type="pt",
    )
    images, real, classifier = result.images * 2 - 1, digits().images, DigitClassifier()
    return (
        frechet_distance(images.flatten(1), real.flatten(1)),
        frechet_distance(classifier.features(images), classifier.features(real)),
        classifier.accuracy(images, labels),
    )


if __name__ == "__main__":
    main()
