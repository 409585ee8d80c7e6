"""What a penalty on the Jacobian makes of a training on the digits, as a Markdown table.

    python tests/benchmarks/jacobian.py [training]

It is written to `docs/tables/jacobian-training.md`. Takes about five minutes on one core, keeps its
runs in `runs/jacobian` and goes on with them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gradients import Batch
from tables import head, machine, row, write_parts

import fpdm
from fpdm.training import Run, TrainConfig, Training, load_config, spectral_radius

RUNS = Path("runs") / "jacobian"
STEPS, BATCH = 600, 64
COMPARED: dict[str, dict[str, Any]] = {
    "0": {"weight": 0.0},
    "0.1": {"weight": 0.1},
}
"""What differs between the trainings, by what the table calls it."""


def config(name: str, steps: int = STEPS) -> TrainConfig:
    given = {
        "model.hidden_size": 96,  # smaller than that of the package: several are trained
        "steps": steps,
        "batch_size": BATCH,
        "ema_decay": 0.99,
        "tracking.samples_every": 0,
        "checkpoints.every": steps,
        "model.gradient": '{name = "sjfb", max_no_grad = 6, max_grad = 6}',
    } | {f"jacobian.{key}": value for key, value in COMPARED[name].items()}
    return load_config("digits", [f"{key}={value}" for key, value in given.items()])


def costs(steps: int = 40) -> dict[str, float]:
    """CPU time of training relative to that without: the same steps, which draw the same counts."""
    trainings = {name: iter(Training(config(name, steps=10**6))) for name in COMPARED}
    times = dict.fromkeys(COMPARED, 0.0)
    for index in range(steps + 2):
        for name, training in trainings.items():
            start = time.process_time()
            next(training)
            times[name] += (time.process_time() - start) * (index >= 2)
    return {name: taken / times["0"] for name, taken in times.items()}


def training() -> Iterator[str]:
    """What 600 steps make of the network, and what they cost."""
    batch, taken = Batch(1000), costs()
    yield from head(
        "weight",
        "loss at 2",
        "at 6",
        "at 24 iterations",
        "residual after 5",
        "after 12",
        "spectral radius",
        "time of a step",
    )
    for name in COMPARED:
        network, cells = _trained(name).model.eval(), []
        with torch.no_grad():
            for evals in (2, 6, 24):
                loss, _ = batch.error(network, evals=evals, solver="naive", init="features")
                cells.append(f"{loss:.4f}")
            for evals in (5, 12):
                _, residual = batch.error(network, evals=evals, solver="naive", init="features")
                cells.append(f"{residual.median():.1e}")
        cells += [f"{_radius(network, batch):.2f}", f"{taken[name]:.2f}"]
        yield row(name, *cells)
    yield ""
    yield (
        f"After {STEPS} steps of {BATCH} digits, one seed, with the averaged weights; S-JFB, up to "
        f"six iterations without and six with gradient. Loss and median residual: of 1000 "
        f"noised digits, by plain iteration from the features; spectral radius: the mean at the "
        f"solutions of 256 of them. Time of the CPU for the same 40 steps, relative to weight 0. "
        f"{machine()}"
    )


def _radius(network: fpdm.FPDiT, batch: Batch, count: int = 256) -> float:
    x, timestep, labels = batch.x[:count], batch.timestep[:count], batch.labels[:count]
    with torch.no_grad():
        cond = network.embed(x, timestep, labels, None, None)
        features = network.denoiser.pre(x, cond)
        f = network.layer.block.bind(features, cond)
        z = fpdm.solver("anderson").solve(f, features, evals=40).value
    start = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    return spectral_radius(f, z, start).mean().item()


def _trained(name: str) -> fpdm.FPDMPipeline:
    folder = RUNS / name.replace(", ", "-").replace(" ", "-")
    losses = [progress.loss for progress in Run(Training(config(name)), folder)]
    if losses:
        print(f"{name}: loss {losses[-1]:.4f}", file=sys.stderr, flush=True)
    return fpdm.FPDMPipeline.from_pretrained(folder)


if __name__ == "__main__":
    write_parts("jacobian", {"training": training}, said=__doc__)
