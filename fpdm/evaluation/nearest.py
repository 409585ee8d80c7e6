"""How far samples are from the data, where a Gaussian says little of either."""

from __future__ import annotations

import numpy as np
import torch
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fpdm.checks import check_whole
from fpdm.errors import InvalidValueError
from fpdm.evaluation.finite import check_finite

ROWS = 1024
"""Samples whose distances are computed at once."""


def nearest_distance(samples: ArrayLike, data: ArrayLike) -> float:
    """The mean distance from each sample to the nearest of the data.

    It says whether samples lie where data lie, and not whether they lie wherever data do: that says
    `nearest_distance(data, samples)`. It falls with the number of data; compare it with that of
    other data to the same.

    Args:
        samples: (n, …).
        data: (m, …), of the same shape each.

    Returns:
        A distance, ≥ 0, in the unit of the samples.

    Raises:
        InvalidValueError: there are none, their shapes differ, or some are not finite.

    Examples:
        >>> nearest_distance([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 4.0]])
        1.5
    """
    here, there = _pair(samples, data)
    rows = here.split(ROWS)
    return float(torch.cat([torch.cdist(row, there).amin(dim=1) for row in rows]).mean())


@frozen(eq=False)
class Neighbours:
    """The nearest data of each sample.

    Attributes:
        indices: which of the data, the nearest first, (n, k).
        distances: to them, (n, k), in the unit of the samples.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]


def nearest_neighbours(samples: ArrayLike, data: ArrayLike, *, count: int = 1) -> Neighbours:
    """The nearest of the data to each sample, by which copies are found.

    Args:
        samples: (n, …).
        data: (m, …), of the same shape each.
        count: how many of each, from 1 to m.

    Returns:
        Which, and how far away.

    Raises:
        InvalidValueError: there are none, or too few data, their shapes differ, or some are not
            finite.

    Examples:
        >>> found = nearest_neighbours([[0.0, 1.0]], [[9.0, 9.0], [0.0, 5.0], [0.0, 1.0]], count=2)
        >>> found.indices.tolist(), found.distances.tolist()
        ([[2, 1]], [[0.0, 4.0]])
    """
    here, there = _pair(samples, data)
    check_whole("count", count, minimum=1, maximum=len(there))
    found = [torch.cdist(row, there).topk(count, largest=False) for row in here.split(ROWS)]
    return Neighbours(
        torch.cat([each.indices for each in found]).numpy(),
        torch.cat([each.values for each in found]).numpy(),
    )


def _pair(samples: ArrayLike, data: ArrayLike) -> tuple[Tensor, Tensor]:
    """Both as rows, (n, d) and (m, d), float64."""
    a, b = (np.asarray(each, dtype=np.float64) for each in (samples, data))
    if min(a.ndim, b.ndim) < 2 or not (len(a) and len(b)) or a.shape[1:] != b.shape[1:]:
        raise InvalidValueError(
            f"samples of {a.shape} and data of {b.shape}: must be (n, …) and (m, …), n, m ≥ 1."
        )
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    check_finite("samples", a)
    check_finite("data", b)
    return torch.from_numpy(a), torch.from_numpy(b)
