"""Drawing a few small images, cheaply, and what is in a folder of them."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from fpdm.drawing import draw

CHEAP = {"budget": 12, "num_inference_steps": 3}
CHEAPLY = ["--batch-size", "8", "--steps", "3"]
ALIKE = [*CHEAPLY, "--budget", "12", "--seed", "5"]
MANY = [*ALIKE, "-n", "37"]  # torchrun takes --num for a word of its own
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
MODULE = ["-m", "fpdm", "sample"]


def drawn(pipe, folder, num=10, **options) -> list:
    return list(draw(pipe, folder, num, **{"batch_size": 4} | CHEAP | options))


def pngs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(count: int) -> list[str]:
    return [f"{number:06d}.png" for number in range(count)]


def levels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path), int) for path in sorted(folder.glob("*.png"))])
