"""The Gaussian that stands for a set of samples."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from fpdm.errors import InvalidValueError
from fpdm.evaluation.pairs import Array, rows


class FewSamplesWarning(UserWarning):
    """A covariance was estimated from too few samples to have full rank."""


def _array(value: Any) -> Array:
    return np.asarray(value, dtype=np.float64)


@frozen(slots=False, eq=False)
class Gaussian:
    """A mean and a covariance: all that a Fréchet distance knows of a set of samples.

    Args:
        mean: (d,).
        covariance: (d, d), symmetric.

    Raises:
        InvalidValueError: the shapes do not fit, or something is not finite or not symmetric.

    Examples:
        >>> import numpy as np
        >>> Gaussian.of(np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])).mean.tolist()
        [2.0, 3.0]
    """

    mean: NDArray[np.float64] = field(converter=_array, repr=lambda mean: f"<{mean.shape}>")
    covariance: NDArray[np.float64] = field(converter=_array, repr=lambda it: f"<{it.shape}>")

    def __attrs_post_init__(self) -> None:
        size = self.mean.size
        if self.mean.ndim != 1 or not size or self.covariance.shape != (size, size):
            raise InvalidValueError(
                f"mean of {self.mean.shape} and covariance of {self.covariance.shape}: must be "
                f"(d,) and (d, d), d ≥ 1."
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise InvalidValueError("mean and covariance hold NaN or inf: must be finite.")
        if not np.allclose(self.covariance, self.covariance.T, rtol=1e-5, atol=1e-8):
            raise InvalidValueError("covariance is not symmetric: it must be.")

    @classmethod
    def of(cls, samples: ArrayLike, *, name: str = "samples") -> Gaussian:
        """The Gaussian of the mean and the unbiased covariance of samples.

        Args:
            samples: (n, …), of any precision; everything but the first dimension is flattened.
            name: what messages call them.

        Raises:
            InvalidValueError: there are none, or some are not finite.

        Warns:
            FewSamplesWarning: there are no more samples than features, so that the covariance is
                singular.
        """
        found = rows(name, samples)
        count, features = found.shape
        if count <= features:
            warnings.warn(
                f"{name} has {count} samples for {features} features: the distance is biased "
                f"upwards; use more than {features} samples.",
                FewSamplesWarning,
                stacklevel=3,
            )
        return fitted(found)

    @cached_property
    def root(self) -> NDArray[np.float64]:
        """The symmetric root of the covariance, (d, d)."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def fitted(samples: NDArray[np.float64]) -> Gaussian:
    """The Gaussian of samples, without a word on how few they are.

    Args:
        samples: (n, d), finite.
    """
    centred = samples - samples.mean(axis=0)
    return Gaussian(samples.mean(axis=0), centred.T @ centred / max(len(samples) - 1, 1))
