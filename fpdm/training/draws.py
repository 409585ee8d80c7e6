"""What is drawn for samples, by their places in a training: for a share as much as it holds.

The samples of a training stand in one endless row, batch after batch, and what is drawn for one
follows from its place, whoever else is drawn for.

Noise is nearly all of it. It comes from one row of random words, of which each sample has its own,
as many as any other; whoever knows the place of a sample goes straight to them, and draws nothing
to throw it away. The words are those of PCG64DXSM, which is advanced by any distance at once, and
which numpy keeps the same from version to version. A few numbers more are drawn for each sample, in
blocks of places of which each has a generator.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import PCG64DXSM, SeedSequence
from torch import Tensor

from fpdm.diffusion import Diffusion
from fpdm.training.seeding import generator

LANES = 16
"""Numbers of a sample are drawn in multiples of this: a processor computes so many at once, and a
number that is always at the same place among them has the same last bits in every share."""
PIECE = 2**15
"""Numbers computed at once: they stay in the cache, and are too few to be cut among threads."""
WIDEST = 2**-31 * (1 - 2**-24)
"""From 32 bits with a sign to (-1, 1): the largest comes to the last float32 before 1."""
BLOCK = 256
"""Places whose chances are drawn together."""
SEEDS = 2**62
ROWS = ("samples", "jacobian", "radius", "penalties")
"""What has random words of its own: the noise of samples, probes of a Jacobian, starts of a power
iteration, and the steps with a penalty."""


def noise(seed: int, places: range, shape: tuple[int, ...], row: str = "samples") -> Tensor:
    """Standard normal noise: the inverse of the distribution function, of uniform numbers.

    It goes as far as ±5.29, beyond which lies one in eight millions of a normal distribution.

    Source: O'Neill, PCG: a family of simple fast space-efficient statistically good algorithms for
    random number generation, 2014 (the words); Devroye, Non-uniform random variate generation, 1986
    (the inverse).

    Args:
        seed: of the training.
        places: of the B samples in the training.
        shape: of the noise of one sample.
        row: one of `ROWS`, each of which has words of its own.

    Returns:
        (B, …), float32.
    """
    size = math.prod(shape)
    each = -(-size // LANES) * LANES
    words = PCG64DXSM(_beginning(seed, row)).advance(places.start * each // 2)
    numbers = torch.empty(len(places) * each, dtype=torch.float32)
    for start in range(0, len(numbers), PIECE):
        piece = numbers[start : start + PIECE]
        drawn = torch.from_numpy(words.random_raw(len(piece) // 2).view(np.int32))
        piece.copy_(drawn).mul_(WIDEST).erfinv_().mul_(math.sqrt(2))
    rows = numbers.view(len(places), each)
    own = rows if each == size else rows[:, :size].contiguous()
    return own.view(len(places), *shape)


class Chances(NamedTuple):
    """What is drawn for B samples beside their noise.

    Attributes:
        timestep: as the diffusion draws it, (B,).
        label: uniform in [0, 1), (B,); it decides whether the label is dropped.
        seed: for what a data set draws, below 2^62, (B,), int64.
    """

    timestep: Tensor
    label: Tensor
    seed: Tensor


def chances(diffusion: Diffusion, seed: int, places: range) -> Chances:
    """Draw what decides about samples, block by block of `BLOCK` places.

    Args:
        diffusion: of the training; it draws timesteps as many as asked for, and not by place.
        seed: of the training.
        places: of the B samples in the training.

    Returns:
        (B,) of each.
    """
    first, last = places.start // BLOCK, max(places.start, places.stop - 1) // BLOCK
    blocks = [_block(diffusion, seed, block) for block in range(first, last + 1)]
    drawn = blocks[0] if first == last else map(torch.cat, zip(*blocks, strict=True))
    inside = slice(places.start - first * BLOCK, places.stop - first * BLOCK)
    return Chances(*(each[inside] for each in drawn))


def _block(diffusion: Diffusion, seed: int, number: int) -> Chances:
    """The chances of all places of a block."""
    draws = generator(seed, number, "chances")
    return Chances(
        timestep=diffusion.timesteps(BLOCK, draws),
        label=torch.rand(BLOCK, generator=draws),
        seed=torch.randint(SEEDS, (BLOCK,), generator=draws),
    )


def chance(seed: int, step: int, row: str) -> float:
    """Draw what decides about a step, the same for all processes.

    Args:
        seed: of the training.
        step: of the training, from 0.
        row: one of `ROWS`.

    Returns:
        A number, uniform in [0, 1).
    """
    words = PCG64DXSM(_beginning(seed, row)).advance(step)
    return float(words.random_raw() >> 11) / 2**53


@lru_cache(maxsize=8)
def _beginning(seed: int, row: str) -> SeedSequence:
    """Where a row of random words of a training begins."""
    number = ROWS.index(row)
    return SeedSequence(seed, spawn_key=(number,) if number else ())
