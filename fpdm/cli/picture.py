"""`fpdm sample` into one picture: a row or more for each class."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpdm.cli import console
from fpdm.cli.files import write_picture
from fpdm.cli.many import note_compiling
from fpdm.cli.summary import RUN_COLUMNS, run_summary

if TYPE_CHECKING:
    import torch

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
    out: Path, pipe: Any, labels: Sequence[int | str], *, seed: int, **settings: Any
) -> bool:
    """Draw images into one picture, say what they cost, and which of them are none.

    Args:
        out: the picture to write.
        pipe: what draws.
        labels: a class for each image, by number or by name.
        seed: of the noise.
        settings: of the pipeline's call.

    Returns:
        Whether all images are whole.
    """
    import torch

    from fpdm.drawing.gallery import gallery, rows_by_class

    numbers = pipe.classes.numbers(labels)
    began = time.perf_counter()
    images, steps = _drawn(pipe, numbers, torch.Generator().manual_seed(seed), settings)
    seconds = time.perf_counter() - began
    note_compiling(pipe)
    whole = sum(image is not None for image in images)
    if whole:
        title = f"{settings['budget']} block passes, {len(steps)} timesteps"
        picture = gallery(rows_by_class(numbers, images, pipe.classes.names), title=title)
        write_picture(picture, out)
    console.table("Sampling", RUN_COLUMNS, [run_summary(steps, seconds)])
    if whole == len(images):
        console.say(f"Wrote {_counted(whole)} to {out}.")
    elif whole:
        console.say(f"Wrote {whole} of {_counted(len(images))} to {out}; crosses are the others.")
    else:
        console.say(f"Wrote nothing to {out}: none of {_counted(len(images))} is finite.")
    return whole == len(images)


def _drawn(
    pipe: Any, numbers: Sequence[int], generator: torch.Generator, settings: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """Each image, or None for one that is not finite; and the records of the run."""
    images: list[Any] = []
    records: list[list[Any]] = []
    for chunk in _chunks(numbers):
        result = pipe(chunk, generator=generator, **settings)
        images += [None if i in result.broken else each for i, each in enumerate(result.images)]
        records.append(result.steps)
    return images, _together(records)


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), BATCH_SIZE):
        yield numbers[first : first + BATCH_SIZE]


def _together(records: Sequence[Sequence[Any]]) -> list[Any]:
    """The records of the first run, with the residuals of all."""
    import torch
    from attrs import evolve

    return [
        each[0]
        if each[0].residual is None
        else evolve(each[0], residual=torch.cat([step.residual for step in each]))
        for each in zip(*records, strict=True)
    ]


def _counted(images: int) -> str:
    return "1 image" if images == 1 else f"{images} images"
