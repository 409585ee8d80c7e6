"""Images that fit into memory."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fpdm.data.tensors import Tensors


class LabelledImages(Tensors):
    """Images with their classes.

    Args:
        images: in [-1, 1], (N, C, H, W), float32.
        labels: from 0 to `num_classes - 1`, (N,), int64.
        num_classes: how many classes.
        class_names: by number; none if not given.
    """

    labels: Tensor

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        num_classes: int,
        class_names: Mapping[int, str] | None = None,
    ) -> None:
        names = class_names or {}
        super().__init__(images, labels, num_classes=num_classes, class_names=names)

    @property
    def images(self) -> Tensor:
        """In [-1, 1], (N, C, H, W), float32."""
        return self.samples
