"""The gradient estimators on the digits, as the Markdown tables of the documentation.

    python tests/benchmarks/gradients.py [directions] [costs] [training]

Each part is written to `docs/tables/gradients-PART.md`; without a part, all are. `training` takes
about 25 minutes on one core, keeps its runs in `runs/gradients` and goes on with them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from drawn import figures
from tables import head, machine, row, write_parts

import fpdm
from fpdm import plugins
from fpdm.data import digits
from fpdm.diffusion import Diffusion
from fpdm.training import Run, TrainConfig, Training, load_config
from tests.training.kept import SIZE, kept_bytes

RUNS = Path("runs") / "gradients"
STEPS, BATCH, LAST = 1000, 64, 200
COMPARED: dict[str, tuple[dict[str, Any], str]] = {
    "sjfb": ({"name": "sjfb", "max_no_grad": 6, "max_grad": 6}, "naive"),
    "jfb": ({"name": "jfb", "no_grad": 5}, "naive"),
    "phantom": ({"name": "phantom", "no_grad": 2, "grad": 4}, "naive"),
    "unrolled": ({"name": "unrolled", "evals": 6}, "naive"),
    "implicit": ({"name": "implicit", "evals": 6, "backward_evals": 6}, "naive"),
    "implicit, anderson": ({"name": "implicit", "evals": 6, "backward_evals": 6}, "anderson"),
}
"""Six iterations each; S-JFB draws 6.5 on average. The solver is that of training."""


def config(name: str, **changed: Any) -> TrainConfig:
    gradient, solver = COMPARED[name]
    given = {
        "model.hidden_size": 96,  # smaller than that of the package: many are trained
        "steps": STEPS,
        "batch_size": BATCH,
        "ema_decay": 0.99,
        "tracking.samples_every": 0,
        "checkpoints.every": STEPS,
        "model.gradient": "{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in gradient.items())
        + "}",
        "model.training_solver": f'{{name = "{solver}"}}',
    } | changed  # fmt: skip
    return load_config("digits", [f"{key}={value}" for key, value in given.items()])


class Batch:
    """Noised digits, the same whenever they are made."""

    def __init__(self, count: int, *, dtype: torch.dtype = torch.float32) -> None:
        rng = torch.Generator().manual_seed(0)
        data, diffusion = digits(), Diffusion()
        chosen = torch.randperm(len(data.images), generator=rng)[:count]
        clean = data.images[chosen]
        self.timestep, self.labels = diffusion.timesteps(count, rng), data.labels[chosen]
        noise = torch.randn(clean.shape, generator=rng)
        noised = diffusion.noise(clean, noise, self.timestep)
        self.x, self.target = noised.x.to(dtype), noised.target.to(dtype)

    def error(self, network: fpdm.FPDiT, **solving: Any) -> tuple[Tensor, Tensor]:
        """Mean squared error of the prediction, and the residuals of the solve."""
        out = network(self.x, timestep=self.timestep, class_labels=self.labels, **solving)
        return (out.sample - self.target).square().mean(), out.solution.residual


def directions(count: int = 128, draws: int = 24) -> Iterator[str]:
    """The angle between each estimator's gradient and the exact one, at the trained model."""
    network = fpdm.FPDMPipeline.digits().model.double().train()
    batch = Batch(count, dtype=torch.float64)
    layer = [*network.layer.parameters(), *network.denoiser.pre.parameters()]
    after = [*network.denoiser.post.parameters()]

    def gradient(spec: dict[str, Any], solver: str, seed: int = 0) -> tuple[Tensor, Tensor]:
        network.layer.gradient = plugins.resolve("gradient", spec)
        network.layer.training_solver = plugins.resolve("solver", solver)
        network.zero_grad()
        loss, _ = batch.error(network, generator=torch.Generator().manual_seed(seed))
        loss.backward()
        return tuple(torch.cat([p.grad.flatten() for p in part]) for part in (layer, after))

    def alike(found: Tensor, truth: Tensor) -> tuple[float, float]:
        """The cosine of two gradients, and the length of the first relative to the second."""
        cosine = torch.nn.functional.cosine_similarity(found, truth, dim=0)
        return cosine.item(), (found.norm() / truth.norm()).item()

    exact = gradient({"name": "implicit", "evals": 100, "backward_evals": 100}, "anderson")
    again = gradient({"name": "implicit", "evals": 80, "backward_evals": 80}, "broyden")
    off = max((a - b).norm().item() / a.norm().item() for a, b in zip(exact, again, strict=True))
    assert off < 1e-6, off
    yield from head(
        "estimator", "cosine, implicit layer and before", "length", "cosine, after it", "length"
    )
    for name, (spec, solver) in COMPARED.items():
        if name != "sjfb":
            found = gradient(spec, solver)
            pairs = zip(found, exact, strict=True)
            yield row(name, *(f"{each:.3f}" for part in pairs for each in alike(*part)))
            continue
        drawn = [gradient(spec, solver, seed) for seed in range(draws)]
        cells: list[str] = []
        for part, truth in zip(zip(*drawn, strict=True), exact, strict=True):
            cosines, lengths = zip(*(alike(each, truth) for each in part), strict=True)
            cells += [
                f"{mean(cosines):.3f} ({min(cosines):.3f} – {max(cosines):.3f})",
                f"{mean(lengths):.3f} ({min(lengths):.3f} – {max(lengths):.3f})",
            ]
        yield row("sjfb, a draw", *cells)
        averaged = [torch.stack(part).mean(dim=0) for part in zip(*drawn, strict=True)]
        pairs = zip(averaged, exact, strict=True)
        yield row(
            f"sjfb, mean of {draws} draws",
            *(f"{each:.3f}" for part in pairs for each in alike(*part)),
        )
    yield ""
    yield (
        f"Against the implicit gradient of 100 evaluations and 100 products by Anderson "
        f"acceleration; length relative to it. The digits of the package, {count} noised digits, "
        f"float64; of the draws of S-JFB the mean (least – most)."
    )


def costs(rounds: int = 41) -> Iterator[str]:
    """Time of a step, and what is kept for the backward pass."""
    trainings = {name: iter(Training(config(name, steps=10**6))) for name in COMPARED}
    times: dict[str, list[float]] = {name: [] for name in COMPARED}
    for index in range(rounds + 2):
        for name, training in trainings.items():
            start = time.process_time()
            next(training)
            if index >= 2:
                times[name].append(time.process_time() - start)
    kept = {name: _kept(spec) for name, (spec, _) in COMPARED.items()}
    base = mean(times["sjfb"])
    yield from head(
        "estimator", "ms per step", "of S-JFB", "MiB kept for the backward pass", "of S-JFB"
    )
    for name in COMPARED:
        taken = mean(times[name]) if name == "sjfb" else median(times[name])
        yield row(
            name,
            f"{1e3 * taken:.0f}",
            f"{taken / base:.2f}",
            f"{kept[name] / 2**20:.1f}",
            f"{kept[name] / kept['sjfb']:.2f}",
        )
    yield ""
    yield (
        f"Time of the CPU for whole steps of training, {BATCH} digits each: medians of {rounds} "
        f"interleaved runs, of S-JFB the mean over {rounds} draws. Kept: by a network of width "
        f"{SIZE['hidden_size']} for two latents of {SIZE['sample_size']} × {SIZE['sample_size']}; "
        f"of S-JFB the most over its draws. {machine()}"
    )


def _kept(spec: dict[str, Any]) -> int:
    torch.manual_seed(0)
    network = fpdm.FPDiT(**SIZE, num_classes=10, gradient=spec)
    return max(kept_bytes(network) for _ in range(30 if spec["name"] == "sjfb" else 1))


def training(num: int = 1000, seeds: int = 2) -> Iterator[str]:
    """What a short training makes of the network."""
    batch = Batch(1000)
    yield from head(
        "estimator",
        "loss at 1",
        "at 2",
        "at 6",
        "at 24 iterations",
        "residual after 5",
        "60 passes",
        "120 passes",
    )
    spread = (0.0, 0.0)
    for name in COMPARED:
        pipe = _trained(name)
        network, cells = pipe.model.eval(), []
        with torch.no_grad():
            for evals in (1, 2, 6, 24):
                loss, _ = batch.error(network, evals=evals, solver="naive", init="features")
                cells.append(f"{loss:.4f}")
            _, residual = batch.error(network, evals=5, solver="naive", init="features")
            cells.append(f"{residual.median():.1e}")
        for settings in (
            {"budget": 60, "num_inference_steps": 15, "init": "reuse"},
            {"budget": 120, "num_inference_steps": 15, "init": "features", "solver": "naive"},
        ):
            found = figures(pipe, num=num, seeds=seeds, **settings)
            cells.append(f"{found.mean.pixels:.2f} / {found.mean.features:.2f}")
            apart = found.spread.pixels, found.spread.features
            spread = tuple(map(max, spread, apart))
        yield row(name, *cells)
    yield ""
    yield (
        f"After {STEPS} steps of {BATCH} digits, one seed, with the averaged weights. Loss and "
        f"median residual: of 1000 noised digits, by plain iteration from the features. Fréchet "
        f"distance in pixel space / in features, 15 timesteps: at 60 passes with the solver that "
        f"carries and reuse, at 120 by plain iteration from the features, as in training; means "
        f"over {seeds} sampling seeds of {num} samples, which lie up to {spread[0]:.2f} / "
        f"{spread[1]:.2f} apart."
    )


def _trained(name: str) -> fpdm.FPDMPipeline:
    folder = RUNS / name.replace(", ", "-")
    began = time.process_time()
    run = Run(Training(config(name)), folder)
    losses = [progress.loss for progress in run]
    if losses:
        taken, last = time.process_time() - began, mean(losses[-LAST:])
        print(f"{name}: {taken:.0f} s of CPU time, loss {last:.4f}", file=sys.stderr, flush=True)
    return fpdm.FPDMPipeline.from_pretrained(folder)


if __name__ == "__main__":
    write_parts(
        "gradients",
        {"directions": directions, "costs": costs, "training": training},
        said=__doc__,
    )
