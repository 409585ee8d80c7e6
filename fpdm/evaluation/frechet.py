"""The Fréchet distance between two sets of samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fpdm.evaluation.gaussian import FewSamplesWarning as FewSamplesWarning
from fpdm.evaluation.gaussian import Gaussian
from fpdm.evaluation.pairs import check_alike


def frechet_distance(a: ArrayLike | Gaussian, b: ArrayLike | Gaussian) -> float:
    """The squared Fréchet distance between Gaussians fitted to two sets of samples.

        ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½)

    Computed in float64. The trace of the root is the sum of the singular values of
    `Σ_a^½ Σ_b^½`, which exists and is exact for singular covariances too. With Inception features
    this is FID. Source: Dowson and Landau, J. Multivariate Anal. 12 (1982); Heusel et al. 2017.

    Args:
        a: samples, (n, ...); everything but the first dimension is flattened to d features. Or
            what is known of them, a [`Gaussian`][fpdm.evaluation.Gaussian].
        b: samples, (m, ...) with the same d; or a Gaussian.

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
    a = a if isinstance(a, Gaussian) else Gaussian.of(a, name="a")
    b = b if isinstance(b, Gaussian) else Gaussian.of(b, name="b")
    return between(a, b)


def between(a: Gaussian, b: Gaussian) -> float:
    """The squared Fréchet distance between two Gaussians, ≥ 0.

    Args:
        a: one of d features.
        b: another of d features.

    Raises:
        InvalidValueError: the numbers of features differ.
    """
    check_alike(a.mean.size, b.mean.size)
    mean = float(np.sum((a.mean - b.mean) ** 2))
    root = np.linalg.svd(a.root @ b.root, compute_uv=False).sum()
    return max(0.0, mean + float(np.trace(a.covariance) + np.trace(b.covariance) - 2 * root))
