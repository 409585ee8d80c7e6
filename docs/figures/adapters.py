"""Digits that an adapter has made bolder: what the code of the page about adapters draws.

It needs peft, and so the environment of `make adapters`. The figures of the page are printed.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from PIL import Image

import style
from page import run_example
from fpdm.drawing import Row, gallery
from fpdm.evaluation import frechet_distance

STEPS = 400
NUM = 500
BUDGET = 60
STRENGTHS = {"as it was": 0.0, "half": 0.5, "whole": 1.0}


def longer(example: str) -> str:
    """The first example of the page, for as many steps as it says are in earnest."""
    text, count = re.subn(r"range\(\d+\):  # in earnest: \d+", f"range({STEPS}):", example)
    assert count == 1
    return text


def draw() -> Image.Image:
    """A row for each strength, of the same noise; the bold digits that it was taught at the foot."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = run_example("how-to/adapters.md", longer)
    pipe, data, bold = names["pipe"], names["data"], names["bold"]
    pipe.set_progress_bar_config(disable=True)
    rows = []
    for label, strength in STRENGTHS.items():
        pipe.set_adapters("bold", strength)
        drawn = pipe(
            [index % 10 for index in range(NUM)],
            budget=BUDGET,
            generator=torch.Generator().manual_seed(1),
            output_type="pt",
        ).images
        away = {name: frechet_distance(2 * drawn - 1, known) for name, known in
                {"bold": bold, "plain": data.images}.items()}
        print(label, {name: f"{distance:.2f}" for name, distance in away.items()})
        rows.append(Row(label=label, images=pictures(pipe, drawn[:10])))
    first = [int((data.labels == label).nonzero()[0]) for label in range(10)]
    rows.append(Row(label="taught", images=pictures(pipe, bold[first] / 2 + 0.5)))
    print("plain to bold", f"{frechet_distance(data.images, bold):.2f}")
    return gallery(rows, title="Digits with an adapter for bold strokes, at three strengths")


def pictures(pipe: Any, images: torch.Tensor) -> list[Image.Image]:
    """Pictures of (B, 1, H, W) in [0, 1]."""
    return pipe.image_processor.postprocess(images * 2 - 1, "pil")


if __name__ == "__main__":
    draw().save(style.IMAGES / "adapters.png", optimize=True)
