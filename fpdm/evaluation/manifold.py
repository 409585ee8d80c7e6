"""Precision and recall: whether samples lie among the data, and data among the samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fpdm.checks import check_whole
from fpdm.evaluation.pairs import Array, pair

ROWS = 256
"""Samples whose distances are computed at once."""

ROUNDING = 1e-12
"""Of the squared norms: by how much a squared distance may be off."""


class PrecisionRecall(NamedTuple):
    """How much of two sets lies within the other.

    It can be unpacked: `precision, recall = precision_recall(samples, data)`.

    Attributes:
        precision: the share of samples that lie among the data, from 0 to 1.
        recall: the share of data that lie among the samples, from 0 to 1.
    """

    precision: float
    recall: float


def precision_recall(a: ArrayLike, b: ArrayLike, *, neighbours: int = 3) -> PrecisionRecall:
    """The shares of samples that lie among the data, and of data that lie among the samples.

    A set is where a ball around one of its members reaches, whose radius is the distance to the
    `neighbours`-th nearest of the others. Both shares grow with `neighbours`, and precision with
    the number of data, recall with that of samples: compare them at equal numbers. Source:
    Kynkäänniemi et al., Improved precision and recall metric, NeurIPS 2019.

    Args:
        a: samples, (n, …), n > `neighbours`; flattened to d features.
        b: data, (m, …), m > `neighbours`, with the same d.
        neighbours: k, ≥ 1.

    Returns:
        Two numbers from 0 to 1, both 1 for equal sets.

    Raises:
        InvalidValueError: there are too few, some are not finite, or the numbers of features
            differ.

    Examples:
        >>> import numpy as np
        >>> a, b = np.random.default_rng(0).normal(size=(2, 500, 2))
        >>> precision, recall = precision_recall(a / 100, b)  # all in the middle of the data
        >>> precision, recall < 0.1
        (1.0, True)
    """
    check_whole("neighbours", neighbours, minimum=1)
    samples, data = pair(a, b, least=neighbours + 1)
    middle = data.mean(axis=0)  # squared distances are differences, which are exact near 0
    samples, data = samples - middle, data - middle
    return PrecisionRecall(
        precision=_share_within(samples, data, _radii(data, neighbours)),
        recall=_share_within(data, samples, _radii(samples, neighbours)),
    )


def _radii(samples: Array, neighbours: int) -> Array:
    """The squared distance of each to its k-th nearest other, (n,)."""
    found = []
    for first, apart in _apart(samples, samples):
        apart[np.arange(len(apart)), first + np.arange(len(apart))] = np.inf  # none to itself
        found.append(np.partition(apart, neighbours - 1, axis=1)[:, neighbours - 1])
    return np.concatenate(found)


def _share_within(samples: Array, centres: Array, radii: Array) -> float:
    """The share of samples that lie in one of the balls, or on its edge but for rounding."""
    norms = (centres**2).sum(axis=1)
    inside: list[NDArray[np.bool_]] = []
    for first, apart in _apart(samples, centres):
        own = (samples[first : first + len(apart)] ** 2).sum(axis=1)
        inside.append((apart <= radii + ROUNDING * (own[:, None] + norms)).any(axis=1))
    return float(np.concatenate(inside).mean())


def _apart(a: Array, b: Array) -> Iterator[tuple[int, Array]]:
    """Squared distances of some of `a` to all of `b`, (r, m), with the first of them."""
    norms = (b**2).sum(axis=1)
    for first in range(0, len(a), ROWS):
        some = a[first : first + ROWS]
        yield first, (some**2).sum(axis=1)[:, None] + norms - 2 * some @ b.T
