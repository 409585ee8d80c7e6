"""Randomness as a function of the seed and the step, so that it is the same on every run."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

STREAMS = ("order", "noise", "counts")


def generator(seed: int, step: int, stream: str) -> torch.Generator:
    """A CPU generator for one purpose at one step (or epoch); `stream` is one of `STREAMS`.

    Args:
        seed: of the training.
        step: of the training, or an epoch.
        stream: what is drawn: `order`, `noise` or `counts`.
    """
    state = (seed * 1_000_003 + step) * len(STREAMS) + STREAMS.index(stream)
    return torch.Generator().manual_seed(state % 2**63)


def batch_indices(seed: int, step: int, *, batch_size: int, size: int) -> Tensor:
    """The samples of a batch, (batch_size,), from an endless row of shuffled epochs.

    Args:
        seed: of the shuffles.
        step: of the training; each step takes the next `batch_size` of the row.
        batch_size: samples in a batch.
        size: samples in the data set.
    """
    start = step * batch_size
    first, last = start // size, (start + batch_size - 1) // size
    row = torch.cat([_shuffled(seed, epoch, size) for epoch in range(first, last + 1)])
    return row[start - first * size :][:batch_size]


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, size: int) -> Tensor:
    """The order of an epoch, (size,); it serves many steps."""
    return torch.randperm(size, generator=generator(seed, epoch, "order"))


def drop_labels(labels: Tensor, chance: Tensor, share: float, null: int) -> Tensor:
    """Replace a `share` of labels by the null class: those whose `chance` in [0, 1) is below it.

    Source: Ho and Salimans, Classifier-free diffusion guidance, 2022.

    Args:
        labels: (B,), int64.
        chance: drawn uniformly, (B,).
        share: of labels to drop.
        null: the label for no class.

    Returns:
        (B,), int64.
    """
    return torch.where(chance < share, null, labels)
