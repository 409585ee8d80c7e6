"""The samples that a batch asks for."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from fpdm.data.bounds import check_bounds
from fpdm.errors import InvalidValueError


def samples(indices: Tensor, seeds: Tensor, *, size: int) -> Iterator[tuple[int, Generator]]:
    """Return the index of each sample, and a generator for what is drawn for it.

    Args:
        indices: which, (B,), int64, from 0 to `size - 1`.
        seeds: for what is drawn for each of them, (B,), int64, ≥ 0.
        size: how many samples the data set has.

    Returns:
        An iterator over B pairs; the generators are of the CPU.

    Raises:
        InvalidValueError: they are no such tensors.
    """
    _check("indices", indices, maximum=size - 1)
    _check("seeds", seeds, maximum=2**63 - 1)
    if len(indices) != len(seeds):
        raise InvalidValueError(
            f"{len(indices)} indices and {len(seeds)} seeds: each sample needs one of both."
        )
    return _pairs(indices, seeds)


def coin(generator: Generator) -> bool:
    """Draw heads or tails, each with probability ½.

    Args:
        generator: of the sample.

    Returns:
        True for one, False for the other.
    """
    return bool(torch.rand((), generator=generator) < 0.5)


def _check(name: str, values: Tensor, *, maximum: int) -> None:
    if not isinstance(values, Tensor) or values.dtype != torch.int64 or values.dim() != 1:
        raise InvalidValueError(f"{name}: must be a tensor of int64 with one dimension.")
    check_bounds(name, values, maximum=maximum)


def _pairs(indices: Tensor, seeds: Tensor) -> Iterator[tuple[int, Generator]]:
    for index, seed in zip(indices.tolist(), seeds.tolist(), strict=True):
        yield index, Generator().manual_seed(seed)
