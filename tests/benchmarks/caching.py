"""Caches of blocks on an explicit network of the digits, as a Markdown table.

    fpdm train digits --set model.network=dit --out runs/dit
    python tests/benchmarks/caching.py runs/dit [--num 2000] [--seeds 3] [--steps 6 10 20]

For each cache of diffusers and number of timesteps: the blocks that an image passes, counted from
outside (one that is passed over does not count), the Fréchet distance to the real digits in pixel
space, the mean over the seeds and its range, and that of the network of the package with as many
block passes, two iterations at each timestep and reuse. Without a folder a network of random
weights shows that all of it works.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from attrs import frozen
from diffusers.hooks import FirstBlockCacheConfig, TaylorSeerCacheConfig

import fpdm
from fpdm.data import digits
from fpdm.diffusion import Diffusion
from fpdm.evaluation import frechet_distance
from tests.toys import ComputedBlocks, lively

BATCH = 500  # of which the first block decides for all


def taylor(interval: int, order: int) -> Callable[[], TaylorSeerCacheConfig]:
    return lambda: TaylorSeerCacheConfig(
        cache_interval=interval,
        max_order=order,
        disable_cache_before_step=2,
        taylor_factors_dtype=torch.float32,
    )


CACHES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    **{
        f"first block, {threshold:g}": lambda threshold=threshold: FirstBlockCacheConfig(threshold)
        for threshold in (0.1, 0.2, 0.4)
    },
    **{
        f"TaylorSeer, every {interval}, order {order}": taylor(interval, order)
        for interval, order in ((2, 1), (3, 1), (3, 2), (5, 1))
    },
}


@frozen
class Drawn:
    """What one run cost, and how far it came.

    Attributes:
        passes: blocks that an image has passed.
        distance: to the real digits, in pixel space.
    """

    passes: float
    distance: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=[6, 10, 20])
    parser.add_argument("--scheduler", help="of the pipeline, if not said")
    given = parser.parse_args()
    pipe = quiet(fpdm.FPDMPipeline.from_pretrained(given.model) if given.model else untrained())
    heads = ["cache", "timesteps", "passes", "distance", "`fpdit` of the package"]
    print("|", " | ".join(heads), "|")
    print("| --- " * len(heads) + "|")
    options = {"scheduler": given.scheduler} if given.scheduler else {}
    for name, make in CACHES.items():
        for steps in given.steps:
            with_cache(pipe, make())
            found = [
                draw(pipe, given.num, seed=seed, num_inference_steps=steps, **options)
                for seed in range(given.seeds)
            ]
            passes = mean(each.passes for each in found)
            beside = as_many(round(passes), given.num, given.seeds, given.scheduler)
            cells = [name, str(steps), f"{passes:.1f}", cell(found), beside]
            print("|", " | ".join(cells), "|", flush=True)


def with_cache(pipe: Any, config: Any) -> None:
    pipe.model.disable_cache()
    if config is not None:
        pipe.model.enable_cache(config)


@cache
def as_many(budget: int, num: int, seeds: int, scheduler: str | None) -> str:
    """The network of the package with as many block passes."""
    pipe, steps = quiet(fpdm.FPDMPipeline.digits()), budget // 4
    settings = {"budget": budget, "num_inference_steps": steps, "init": "reuse"}
    settings |= {"scheduler": scheduler} if scheduler else {}
    return cell([draw(pipe, num, seed=seed, **settings) for seed in range(seeds)])


def draw(pipe: Any, num: int, *, seed: int, **settings: Any) -> Drawn:
    generator, images, passes = torch.Generator().manual_seed(seed), [], 0
    for first in range(0, num, BATCH):
        labels = [index % 10 for index in range(first, min(first + BATCH, num))]
        with ComputedBlocks(pipe.model) as computed:
            run = pipe(labels, **settings, output_type="pt", generator=generator)
        passes += computed.count * len(labels)
        images.append(run.images)
    drawn = 2 * torch.cat(images).flatten(1) - 1
    return Drawn(passes / num, frechet_distance(drawn, digits().images.flatten(1)))


def cell(found: list[Drawn]) -> str:
    each = [drawn.distance for drawn in found]
    return f"{mean(each):.2f} ({min(each):.2f} – {max(each):.2f})"


def untrained() -> fpdm.FPDMPipeline:
    sizes = {"sample_size": 8, "in_channels": 1, "num_classes": 10, "hidden_size": 32}
    model = lively(fpdm.DiT(**sizes, num_heads=2, depth=4))
    return fpdm.FPDMPipeline(model, Diffusion().scheduler(clip=True))


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


if __name__ == "__main__":
    main()
