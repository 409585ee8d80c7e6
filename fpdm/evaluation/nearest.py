"""How far samples are from the data, where a Gaussian says little of either."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

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
    a, b = (np.asarray(each, dtype=np.float64) for each in (samples, data))
    if min(a.ndim, b.ndim) < 2 or not (len(a) and len(b)) or a.shape[1:] != b.shape[1:]:
        raise InvalidValueError(
            f"samples of {a.shape} and data of {b.shape}: must be (n, …) and (m, …), n, m ≥ 1."
        )
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    check_finite("samples", a)
    check_finite("data", b)
    there = torch.from_numpy(b)
    rows = torch.from_numpy(a).split(ROWS)
    return float(torch.cat([torch.cdist(row, there).amin(dim=1) for row in rows]).mean())
