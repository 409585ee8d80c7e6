"""Randomness as a function of the seed and the step, so that it is the same on every run."""

from __future__ import annotations

import torch
from torch import Tensor

STREAMS = ("order", "noise", "counts")


def generator(seed: int, step: int, stream: str) -> torch.Generator:
    """A CPU generator for one purpose at one step (or epoch); `stream` is one of `STREAMS`."""
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
    row = torch.cat(
        [
            torch.randperm(size, generator=generator(seed, epoch, "order"))
            for epoch in range(first, last + 1)
        ]
    )
    return row[start - first * size :][:batch_size]


def drop_labels(labels: Tensor, share: float, null: int, generator: torch.Generator) -> Tensor:
    """Replace a random `share` of labels, (B,), by the null class."""
    dropped = torch.rand(len(labels), generator=generator) < share
    return torch.where(dropped.to(labels.device), null, labels)
