"""A data set that fits into memory."""

from __future__ import annotations

from attrs import field, frozen
from torch import Tensor


@frozen(eq=False)
class LabelledImages:
    """Images with their classes.

    Attributes:
        images: in [-1, 1], (N, C, H, W), float32.
        labels: from 0 to `num_classes - 1`, (N,), int64.
        num_classes: how many classes.
    """

    images: Tensor = field(repr=lambda images: f"<{tuple(images.shape)}>")
    labels: Tensor = field(repr=lambda labels: f"<{tuple(labels.shape)}>")
    num_classes: int

    def __len__(self) -> int:
        return len(self.images)
