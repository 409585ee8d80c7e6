"""Two moons: what the code of the tutorial about one's own network draws, and how near it comes.

The figures of the page are printed. A training in earnest takes two or three minutes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

import style
from page import run_example
from fpdm.drawing.plots import plot

SHOWN = {"5 timesteps": 5, "15 timesteps": 15, "20 timesteps": 20}


def draw() -> Image.Image:
    """Samples of each way to spend the budget side by side, and the data."""
    names = run_example("tutorials/own-network.md")
    pipe, drawn = names["pipe"], {}
    pipe.set_progress_bar_config(disable=True)
    for title, steps in SHOWN.items():
        settings = {"num_inference_steps": steps, "scheduler": "dpm++"}
        drawn[title] = pipe(num_images=1000, budget=60, **settings).images
    drawn["the data"] = names["moons"](1000, seed=2).numpy()
    pictures = [plot(np.asarray(points), title=title) for title, points in drawn.items()]
    page = Image.new("RGB", (sum(each.width for each in pictures), pictures[0].height), "white")
    for index, picture in enumerate(pictures):
        page.paste(picture, (index * picture.width, 0))
    return page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw().save(style.IMAGES / "moons.png", optimize=True)
