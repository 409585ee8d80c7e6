"""Samples of any shape as numbers, in one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from fpdm.drawing.asked import Asked
from fpdm.runtime.storage import written_file

BATCH_SIZE = 64


@frozen(eq=False)
class Part:
    """Some of the samples of a file, which were drawn at once.

    Attributes:
        samples: (B, C, …), float32; NaN where one is not finite.
        asked: what they were to be, by keyword.
        steps: what each timestep cost.
        broken: how many are not finite.
    """

    samples: NDArray[np.float32]
    asked: dict[str, Any]
    steps: list[Any]
    broken: int


def draw_parts(
    pipe: Any, asked: Asked, num: int, *, seed: int, batch_size: int = BATCH_SIZE, **settings: Any
) -> Iterator[Part]:
    """Draw samples of any shape, so many at once.

    Args:
        pipe: what draws.
        asked: what each is to be.
        num: how many.
        seed: of the noise.
        batch_size: how many at once.
        settings: of the pipeline's call.

    Yields:
        They, some at a time.
    """
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, num, batch_size):
        said = asked.of(range(first, min(first + batch_size, num)))
        made = pipe(**said, generator=generator, output_type="pt", **settings)
        numbers = made.images.float().cpu().numpy()
        yield Part(numbers, said, made.steps, len(made.broken))


def write_arrays(parts: list[Part], target: Path) -> None:
    """Write samples, and what they were to be, into one `.npz`: all of it or nothing.

    Args:
        parts: of the samples, in their order.
        target: the file, which may be there. `samples` is (N, C, …), float32; beside it are
            `class_labels`, (N,), or the `condition`, where there is any.

    Raises:
        StorageError: it cannot be written.
    """
    arrays = {"samples": np.concatenate([part.samples for part in parts])}
    for name in ("class_labels", "condition"):
        if name in parts[0].asked:
            arrays[name] = np.concatenate([np.asarray(part.asked[name]) for part in parts])
    with written_file(target) as beside, beside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
