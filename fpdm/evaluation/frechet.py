"""The Fréchet distance between two sets of samples."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fpdm.errors import InvalidValueError
from fpdm.evaluation.finite import check_finite

Array = NDArray[np.float64]


class FewSamplesWarning(UserWarning):
    """A covariance was estimated from too few samples to have full rank."""


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """The squared Fréchet distance between Gaussians fitted to two sets of samples.

        ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½)

    Computed in float64. The trace of the root is the sum of the singular values of
    `Σ_a^½ Σ_b^½`, which exists and is exact for singular covariances too. With Inception features
    this is FID. Source: Dowson and Landau, J. Multivariate Anal. 12 (1982); Heusel et al. 2017.

    Args:
        a: samples, (n, ...); everything but the first dimension is flattened to d features.
        b: samples, (m, ...) with the same d.

    Returns:
        A finite number ≥ 0, 0 for equal sets.

    Raises:
        InvalidValueError: a set is empty or not finite, or the numbers of features differ.

    Warns:
        FewSamplesWarning: a set has no more samples than features, so that its covariance is
            singular; the distance is then biased upwards.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> a, b = rng.normal(0, 1, (5000, 3)), rng.normal(2, 1, (5000, 3))
        >>> round(frechet_distance(a, b))  # three features, each 2² apart
        12
    """
    a, b = _samples("a", a), _samples("b", b)
    if a.shape[1] != b.shape[1]:
        raise InvalidValueError(
            f"a has {a.shape[1]} features and b has {b.shape[1]}: they must have the same."
        )
    mean = float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2))
    cov_a, cov_b = _covariance("a", a), _covariance("b", b)
    root = np.linalg.svd(_root(cov_a) @ _root(cov_b), compute_uv=False).sum()
    return max(0.0, mean + float(np.trace(cov_a) + np.trace(cov_b) - 2 * root))


def _samples(name: str, values: Any) -> Array:
    samples = np.asarray(values, dtype=np.float64)
    if samples.ndim == 0 or len(samples) == 0:
        raise InvalidValueError(f"{name} has no samples: at least one is needed.")
    samples = samples.reshape(len(samples), -1)
    check_finite(name, samples)
    return samples


def _covariance(name: str, samples: Array) -> Array:
    count, features = samples.shape
    if count <= features:
        warnings.warn(
            f"{name} has {count} samples for {features} features: the distance is biased upwards; "
            f"use more than {features} samples.",
            FewSamplesWarning,
            stacklevel=3,
        )
    centred = samples - samples.mean(axis=0)
    return centred.T @ centred / max(count - 1, 1)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
