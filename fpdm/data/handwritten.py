"""Handwritten digits: real data that ships inside a package."""

from __future__ import annotations

from typing import ClassVar

import torch

from fpdm.data.labelled import LabelledImages
from fpdm.errors import MissingDependencyError


def digits() -> LabelledImages:
    """1797 handwritten digits, 8 × 8 pixels, 10 classes, in the order of scikit-learn.

    Source: E. Alpaydin and C. Kaynak, Optical recognition of handwritten digits, UCI machine
    learning repository, 1998; the copy in scikit-learn.

    Returns:
        Images, (1797, 1, 8, 8), in [-1, 1], and labels from 0 to 9, (1797,).

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "The digits come with scikit-learn, which is not installed: pip install 'fpdm[eval]'."
        ) from error
    raw = load_digits()
    images = torch.from_numpy(raw.images).float()[:, None] / 8 - 1  # grey levels 0 … 16
    return LabelledImages(images, torch.from_numpy(raw.target).long(), num_classes=10)


class Digits(LabelledImages):
    """1797 handwritten digits of 8 × 8 pixels in 10 classes; see [`digits`][fpdm.data.digits].

    Source: Alpaydin and Kaynak, UCI machine learning repository, 1998.

    Raises:
        MissingDependencyError: scikit-learn, which brings them, is not installed.
    """

    name: ClassVar[str] = "digits"

    def __init__(self) -> None:
        read = digits()
        super().__init__(read.images, read.labels, read.num_classes)
