"""The same noise under equal budgets, spent in several ways."""

from __future__ import annotations

import torch
from PIL import Image

import data
import style
from fpdm.data import digits
from fpdm.drawing import Row, gallery

BUDGETS = (24, 60)
SEED = 1
WAYS = {
    "k = 10": {"iterations": 10, "init": "features"},
    "k = 2": {"iterations": 2, "init": "features"},
    "k = 2, reuse": {"iterations": 2, "init": "reuse"},
    "k = 2, increasing": {"iterations": 2, "init": "reuse", "allocation": "increasing"},
    "k = 2, naive": {"iterations": 2, "init": "reuse", "solver": data.NAIVE},
    "k = 1, reuse": {"iterations": 1, "init": "reuse"},
}


def draw() -> Image.Image:
    """A row for each way, under a heading for each budget; real digits at the foot."""
    rows = [
        Row(
            label=name,
            images=samples(budget, **way),
            heading=f"{budget} block passes" if not index else "",
        )
        for budget in BUDGETS
        for index, (name, way) in enumerate(WAYS.items())
    ]
    rows.append(Row(label="", images=real(), heading="Real digits"))
    return gallery(rows, title="The same noise under equal budgets, k iterations a timestep")


def samples(budget: int, *, iterations: int, **call: object) -> list[Image.Image]:
    """One digit of each class."""
    return (
        data.pipeline()(
            range(10),
            budget=budget,
            num_inference_steps=budget // (2 + iterations),
            generator=torch.Generator().manual_seed(SEED),
            **call,
        )
    ).images


def real() -> list[Image.Image]:
    """The first digit of each class in the training set."""
    known = digits()
    first = [int((known.labels == label).nonzero()[0]) for label in range(10)]
    return data.pipeline().image_processor.postprocess(known.images[first], "pil")


if __name__ == "__main__":
    draw().save(style.IMAGES / "samples.png", optimize=True)
