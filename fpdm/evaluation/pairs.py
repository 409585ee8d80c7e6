"""Two sets of samples as rows of features, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fpdm.errors import InvalidValueError
from fpdm.evaluation.finite import check_finite

Array = NDArray[np.float64]


def rows(name: str, values: Any, *, least: int = 1) -> Array:
    """Samples as rows of features.

    Args:
        name: what messages call them.
        values: (n, …), a tensor on any device, or what numpy takes, of any precision.
        least: how many samples there must be.

    Returns:
        (n, d), float64.

    Raises:
        InvalidValueError: there are fewer, or some are not finite.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    samples = np.asarray(values, dtype=np.float64)
    count = len(samples) if samples.ndim else 0
    if count < max(least, 1):
        there = {0: "no samples", 1: "one sample"}.get(count, f"{count} samples")
        wanted = "one is" if least == 1 else f"{least} are"
        raise InvalidValueError(f"{name} has {there}: at least {wanted} needed.")
    samples = samples.reshape(count, -1)
    check_finite(name, samples)
    return samples


def check_alike(a: int, b: int) -> None:
    """Check that two sets have the same features.

    Args:
        a: how many features one has.
        b: how many the other has.

    Raises:
        InvalidValueError: they differ.
    """
    if a != b:
        raise InvalidValueError(f"a has {a} features and b has {b}: they must have the same.")


def pair(a: Any, b: Any, *, least: int = 1) -> tuple[Array, Array]:
    """Two sets of samples as rows of the same features.

    Args:
        a: (n, …).
        b: (m, …).
        least: how many samples each must have.

    Returns:
        (n, d) and (m, d), float64.

    Raises:
        InvalidValueError: there are fewer, some are not finite, or the features differ.
    """
    a, b = rows("a", a, least=least), rows("b", b, least=least)
    check_alike(a.shape[1], b.shape[1])
    return a, b
