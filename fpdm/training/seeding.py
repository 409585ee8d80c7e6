"""Randomness as a function of the seed and the step, so that it is the same on every run."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

STREAMS = ("order", "chances", "counts")


def generator(seed: int, step: int, stream: str) -> torch.Generator:
    """A CPU generator for one purpose at one step (or epoch, or block of places).

    Args:
        seed: of the training.
        step: of the training; for `order` an epoch, for `chances` a block of places.
        stream: what is drawn: `order`, `chances` or `counts`.
    """
    state = (seed * 1_000_003 + step) * len(STREAMS) + STREAMS.index(stream)
    return torch.Generator().manual_seed(state % 2**63)


def shuffled(seed: int, places: range, *, size: int) -> Tensor:
    """The samples at some places of a training, an endless row of shuffled epochs.

    Args:
        seed: of the shuffles.
        places: B in a row, from 0 on.
        size: samples in the data set.

    Returns:
        Their indices in the data set, (B,), int64.
    """
    parts = [
        _epoch(seed, epoch, size)[max(0, places.start - epoch * size) : places.stop - epoch * size]
        for epoch in range(places.start // size, -(-places.stop // size))
    ]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


@lru_cache(maxsize=4)
def _epoch(seed: int, epoch: int, size: int) -> Tensor:
    """The order of an epoch, (size,); it serves many steps."""
    return torch.randperm(size, generator=generator(seed, epoch, "order"))


def drop(said: Tensor, dropped: Tensor, null: float) -> Tensor:
    """Put what stands for none in the place of some labels, or of some conditions.

    Source: Ho and Salimans, Classifier-free diffusion guidance, 2022.

    Args:
        said: of B samples, (B, …).
        dropped: of which it is dropped, (B,), bool.
        null: what stands for none.

    Returns:
        Shaped like `said`.
    """
    return said.masked_fill(dropped.view(-1, *[1] * (said.dim() - 1)), null)
