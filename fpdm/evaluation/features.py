"""What samples are compared by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor

from fpdm.data.dataset import Dataset
from fpdm.errors import InvalidValueError
from fpdm.evaluation.finite import check_finite

BATCH_SIZE = 256


@runtime_checkable
class Features(Protocol):
    """What makes a row of features of each image; any object that fits will do.

    One that has `accuracy(images, labels)` too judges classes: the share of images that it reads as
    their labels.
    """

    @property
    def name(self) -> str:
        """What they are called where they are reported: figures of other features are others."""
        ...

    def __call__(self, images: Tensor) -> NDArray[np.float64]:
        """The features of images.

        Args:
            images: (B, C, H, W), in [-1, 1].

        Returns:
            (B, D), float64.
        """
        ...


@frozen
class Pixels:
    """Images as they are: each number of each is a feature. So are samples of any other shape."""

    @property
    def name(self) -> str:
        """`pixels`."""
        return "pixels"

    def __call__(self, images: Tensor) -> NDArray[np.float64]:
        """Flatten images.

        Args:
            images: (B, C, …), on any device.

        Returns:
            (B, D), float64, D of C and all extents.
        """
        return images.detach().cpu().double().flatten(1).numpy()


@frozen(eq=False)
class Extracted:
    """The features of samples, and how many of them are read as what they were to be.

    Attributes:
        rows: (N, D), float64.
        accuracy: from 0 to 1; None where there are no labels, or features that read none.
    """

    rows: NDArray[np.float64]
    accuracy: float | None = None


def extract(
    data: Dataset,
    features: Features,
    *,
    labels: Tensor | None = None,
    channels: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> Iterator[Extracted]:
    """The features of a data set, some samples at a time.

    Args:
        data: of images in [-1, 1], or samples of another shape.
        features: what makes them.
        labels: the class of each, (N,), int64; None takes those of the data set.
        channels: 3 repeats grey images in three channels; None leaves them.
        batch_size: how many samples are read at once.

    Yields:
        The features of a batch, in the order of the data set.

    Raises:
        InvalidValueError: a sample cannot be read, or there are not as many features as images, or
            some are not finite.
    """
    judge = getattr(features, "accuracy", None)
    for indices in torch.arange(len(data)).split(batch_size):
        batch = data.batch(indices, seeds=indices)
        images = batch.images
        if channels == 3 and images.shape[1] == 1:
            images = images.expand(-1, 3, *images.shape[2:])
        rows = features(images)
        if rows.ndim != 2 or len(rows) != len(images):
            raise InvalidValueError(
                f"The features {features.name} of {len(images)} images have shape {rows.shape}: "
                f"must be ({len(images)}, D)."
            )
        check_finite(f"Of the samples from {int(indices[0])} on, {features.name}", rows)
        wanted = batch.labels if labels is None else labels[indices]
        accuracy = None if judge is None or wanted is None else judge(images, wanted)
        yield Extracted(np.asarray(rows, np.float64), accuracy)


def together(parts: Iterable[Extracted]) -> Extracted:
    """The parts as one.

    Args:
        parts: at least one, all with an accuracy or none.
    """
    every = list(parts)
    counts = [len(part.rows) for part in every]
    shares = [part.accuracy for part in every if part.accuracy is not None]
    accuracy = float(np.average(shares, weights=counts)) if shares else None
    return Extracted(np.concatenate([part.rows for part in every]), accuracy)
