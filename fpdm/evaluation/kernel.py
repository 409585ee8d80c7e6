"""The kernel distance between two sets of samples: KID."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fpdm.evaluation.pairs import Array, pair

ROWS = 256
"""Samples whose kernel is computed at once."""


def kernel_distance(a: ArrayLike, b: ArrayLike) -> float:
    """The squared maximum mean discrepancy between two sets of samples, without bias.

        E k(x, x') + E k(y, y') - 2 E k(x, y),   k(x, y) = (x·y / d + 1)³

    The means are over all pairs of different samples, in blocks, and no subsets are drawn: the
    same sets have the same distance, in float64. With Inception features this is KID. Source:
    Bińkowski et al., Demystifying MMD GANs, ICLR 2018; Gretton et al. 2012.

    Args:
        a: samples, (n, …), n ≥ 2; everything but the first dimension is flattened to d features.
        b: samples, (m, …), m ≥ 2, with the same d.

    Returns:
        A finite number; for samples of one distribution 0 on average, and so often negative.

    Raises:
        InvalidValueError: a set has fewer than two samples, one is not finite, or the numbers of
            features differ.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> a, b, c = rng.normal(size=(3, 500, 4))
        >>> abs(kernel_distance(a, b)) < 0.02 < kernel_distance(a, c + 1)
        True
    """
    x, y = pair(a, b, least=2)
    return distance_to(y)(x)


def distance_to(data: Array) -> Callable[[Array], float]:
    """The kernel distance to data of which the part that is theirs alone is computed once.

    Args:
        data: (m, d), m ≥ 2, finite.

    Returns:
        A function of samples, (n, d), n ≥ 2.
    """
    within = _within(data)

    def distance(samples: Array) -> float:
        across = _total(samples, data) / (len(samples) * len(data))
        return _within(samples) + within - 2 * across

    return distance


def _within(samples: Array) -> float:
    """The mean over pairs of different samples."""
    size = samples.shape[1]
    itself = _cubes((samples**2).sum(axis=1) / size)
    return (_total(samples, samples) - itself) / (len(samples) * (len(samples) - 1))


def _total(a: Array, b: Array) -> float:
    """The sum of the kernel over all pairs."""
    blocks = (a[first : first + ROWS] for first in range(0, len(a), ROWS))
    return sum(_cubes(block @ b.T / a.shape[1]) for block in blocks)


def _cubes(products: Array) -> float:
    """The sum of (p + 1)³; a product of three is many times as fast as a power."""
    base = products + 1
    return float(np.vdot(base * base, base))
