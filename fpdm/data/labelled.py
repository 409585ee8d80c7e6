"""Images that fit into memory."""

from __future__ import annotations

from torch import Tensor

from fpdm.data.tensors import Tensors


class LabelledImages(Tensors):
    """Images with their classes.

    Args:
        images: in [-1, 1], (N, C, H, W), float32.
        labels: from 0 to `num_classes - 1`, (N,), int64.
        num_classes: how many classes.
    """

    labels: Tensor

    def __init__(self, images: Tensor, labels: Tensor, num_classes: int) -> None:
        super().__init__(images, labels, num_classes=num_classes)

    @property
    def images(self) -> Tensor:
        """In [-1, 1], (N, C, H, W), float32."""
        return self.samples
