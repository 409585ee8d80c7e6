"""Networks beside one another on the digits, at equal block passes, as a Markdown table.

    fpdm train digits-fpunet --out runs/fpunet
    python tests/benchmarks/networks.py runs/fpunet [--num 2000] [--seeds 3]

What it prints is docs/tables/networks.md. The first network is that of the package. A cell is the
Fréchet distance to the real digits in pixel space, the mean over the seeds and its range.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from tables import DEVICE

import fpdm
from fpdm.data import digits
from fpdm.evaluation import frechet_distance

SPENT = {
    "plain": {"iterations": 10, "init": "features", "scheduler": "ddim"},
    "smoothing, reuse": {"iterations": 2, "init": "reuse", "scheduler": "ddim"},
    "smoothing, reuse, dpm++": {"iterations": 2, "init": "reuse", "scheduler": "dpm++"},
}
BUDGETS = (24, 60, 120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    pipes = [fpdm.FPDMPipeline.digits()]
    pipes += [fpdm.FPDMPipeline.from_pretrained(folder) for folder in given.models]
    heads = ["network", "spent", *(f"{budget} passes" for budget in BUDGETS)]
    print("|", " | ".join(heads), "|")
    print("| --- " * len(heads) + "|")
    for pipe in pipes:
        pipe.to(DEVICE).set_progress_bar_config(disable=True)
        for name, options in SPENT.items():
            cells = [
                cell(
                    lambda seed, budget=budget, options=options, pipe=pipe: distance(
                        pipe, given.num, seed=seed, budget=budget, **options
                    ),
                    given.seeds,
                )
                for budget in BUDGETS
            ]
            print("|", " | ".join([title(pipe), name, *cells]), "|", flush=True)


def title(pipe: Any) -> str:
    weights = sum(parameter.numel() for parameter in pipe.model.parameters())
    return f"`{pipe.model.name}`, {weights / 1e6:.2f} M"


def cell(measure: Callable[[int], float], seeds: int) -> str:
    found = [measure(seed) for seed in range(seeds)]
    return f"{mean(found):.2f} ({min(found):.2f} – {max(found):.2f})"


def distance(
    pipe: Any, num: int, *, seed: int, budget: int, iterations: int, **options: Any
) -> float:
    explicit = pipe.model.pre_passes + pipe.model.post_passes
    generator, drawn = torch.Generator().manual_seed(seed), []
    for first in range(0, num, 500):
        labels = [index % 10 for index in range(first, min(first + 500, num))]
        steps = budget // (explicit + iterations)
        settings = {"budget": budget, "num_inference_steps": steps, "output_type": "pt"}
        drawn.append(pipe(labels, **settings, **options, generator=generator).images.cpu())
    return frechet_distance(2 * torch.cat(drawn).flatten(1) - 1, digits().images.flatten(1))


if __name__ == "__main__":
    main()
