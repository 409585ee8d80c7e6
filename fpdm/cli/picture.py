"""`fpdm sample` into one picture: a row or more for each class."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpdm.cli import console
from fpdm.cli.files import write_picture
from fpdm.cli.many import note_compiling
from fpdm.cli.summary import RUN_COLUMNS, note_average, run_summary, together

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from fpdm.drawing.asked import Asked

BATCH_SIZE = 64
"""Images of a picture that are drawn at once."""

MOST_CLASSES = 16
"""Classes of which a picture shows one each where nothing else is asked for."""


def classes_to_show(count: int) -> list[int]:
    """The classes of a picture where none are named: all of a few, or some of many.

    Args:
        count: how many there are.

    Returns:
        Their numbers, evenly spread; at most 16.
    """
    shown = min(count, MOST_CLASSES)
    return [index * count // shown for index in range(shown)]


def draw_picture(
    out: Path, pipe: Any, asked: Asked, count: int, *, seed: int, **settings: Any
) -> bool:
    """Draw images into one picture, say what they cost, and which of them are none.

    Args:
        out: the picture to write.
        pipe: what draws.
        asked: what each image is to be.
        count: how many images.
        seed: of the noise.
        settings: of the pipeline's call.

    Returns:
        Whether all images are whole.
    """
    import torch

    began = time.perf_counter()
    images, steps = _drawn(pipe, asked, count, torch.Generator().manual_seed(seed), settings)
    seconds = time.perf_counter() - began
    note_compiling(pipe)
    whole = sum(image is not None for image in images)
    if whole:
        title = f"{settings['budget']} block passes, {len(steps)} timesteps"
        write_picture(_picture(images, pipe, asked, title=title), out)
    console.table("Sampling", RUN_COLUMNS, [run_summary(steps, seconds)])
    note_average(steps, settings["budget"])
    if whole == len(images):
        console.say(f"Wrote {_counted(whole, pipe)} to {out}.")
    elif whole:
        console.say(
            f"Wrote {whole} of {_counted(len(images), pipe)} to {out}; crosses are the others."
        )
    else:
        console.say(f"Wrote nothing to {out}: none of {_counted(len(images), pipe)} is finite.")
    return whole == len(images)


def _picture(images: list[Any], pipe: Any, asked: Asked, *, title: str) -> Image.Image:
    from fpdm.drawing.gallery import gallery, rows_by_class
    from fpdm.drawing.plots import plot

    numbers = asked.of(range(len(images))).get("class_labels", [])
    if len(pipe.sample_shape) == 3:
        rows = rows_by_class(numbers or [0] * len(images), images, pipe.classes.names)
        return gallery(rows, title=title)
    import numpy as np

    whole = [index for index, image in enumerate(images) if image is not None]
    samples = np.stack([images[index] for index in whole])
    return plot(samples, title=title, classes=[numbers[i] for i in whole] if numbers else ())


def _drawn(
    pipe: Any, asked: Asked, count: int, generator: torch.Generator, settings: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """Each image, or None for one that is not finite; and the records of the run."""
    images: list[Any] = []
    records: list[list[Any]] = []
    for first in range(0, count, BATCH_SIZE):
        numbers = range(first, min(first + BATCH_SIZE, count))
        result = pipe(**asked.of(numbers), generator=generator, **settings)
        images += [None if i in result.broken else each for i, each in enumerate(result.images)]
        records.append(result.steps)
    return images, together(records)


def _counted(number: int, pipe: Any) -> str:
    name = "image" if len(pipe.sample_shape) == 3 else "sample"
    return f"1 {name}" if number == 1 else f"{number} {name}s"
