"""A reader of digits, to judge samples with."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor

from fpdm.data import digits
from fpdm.errors import InvalidValueError
from fpdm.evaluation.finite import check_finite

SAMPLE = (1, 8, 8)


@frozen(slots=False)
class DigitClassifier:
    """scikit-learn's `MLPClassifier((128, 64), max_iter=300)`, fitted on all digits at first use.

    Args:
        seed: of the fit; on one machine the same seed gives the same classifier.

    Examples:
        >>> from fpdm.data import digits
        >>> data = digits()
        >>> classifier = DigitClassifier()
        >>> classifier.accuracy(data.images[:100], data.labels[:100])
        1.0
    """

    seed: int = 0

    @property
    def name(self) -> str:
        """`digits`, of which it reads the classes, with the seed of the fit if it is not 0."""
        return f"digits, seed {self.seed}" if self.seed else "digits"

    @property
    def num_classes(self) -> int:
        """10."""
        return 10

    def __call__(self, images: Tensor) -> NDArray[np.float64]:
        """The second hidden layer, as of `features`.

        Args:
            images: (B, 1, 8, 8), in [-1, 1].

        Returns:
            (B, 64), float64.

        Raises:
            InvalidValueError: an image is not finite, or of another shape; the message says which.
        """
        return self.features(images)

    def read(self, images: Tensor) -> NDArray[np.int64]:
        """The class of each image; (B, 1, 8, 8) in [-1, 1] → (B,).

        Args:
            images: (B, 1, 8, 8), in [-1, 1].

        Raises:
            InvalidValueError: an image is not finite, or of another shape; the message says which.
        """
        return self._fitted.predict(_digits(images))

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """The share of images, (B, 1, 8, 8) in [-1, 1], that are read as their label, (B,).

        Args:
            images: (B, 1, 8, 8), in [-1, 1].
            labels: (B,), int64.

        Returns:
            From 0 to 1.

        Raises:
            InvalidValueError: an image is not finite, or of another shape; the message says which.
        """
        return float((self.read(images) == labels.cpu().numpy()).mean())

    def features(self, images: Tensor) -> NDArray[np.float64]:
        """The second hidden layer after its ReLU; (B, 1, 8, 8) in [-1, 1] → (B, 64).

        Args:
            images: (B, 1, 8, 8), in [-1, 1].

        Raises:
            InvalidValueError: an image is not finite, or of another shape; the message says which.
        """
        hidden = _digits(images)
        for weight, bias in zip(self._fitted.coefs_[:2], self._fitted.intercepts_[:2], strict=True):
            hidden = np.maximum(hidden @ weight + bias, 0)
        return hidden

    @cached_property
    def _fitted(self) -> Any:
        data = digits()
        from sklearn.neural_network import MLPClassifier

        classifier = MLPClassifier((128, 64), random_state=self.seed, max_iter=300)
        return classifier.fit(pixels(data.images), data.labels.numpy())


def _digits(images: Tensor) -> NDArray[np.float64]:
    if tuple(images.shape[1:]) != SAMPLE:
        raise InvalidValueError(
            f"images of {tuple(images.shape[1:])}: the classifier of digits reads {SAMPLE} alone."
        )
    return pixels(images)


def pixels(images: Tensor) -> NDArray[np.float64]:
    """Flatten images for scikit-learn; (B, C, H, W) → (B, C H W), float64.

    Args:
        images: (B, C, H, W), on any device.

    Raises:
        InvalidValueError: an image is not finite; the message says which.
    """
    flat = images.detach().cpu().double().flatten(1).numpy()
    check_finite("images", flat)
    return flat
