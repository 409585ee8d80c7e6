"""A data set that fits into memory."""

from __future__ import annotations

from attrs import field, frozen
from torch import Tensor

from fpdm.data.bounds import check_bounds
from fpdm.data.dataset import Batch, Dataset, Shape


@frozen(eq=False)
class LabelledImages(Dataset):
    """Images with their classes.

    Attributes:
        images: in [-1, 1], (N, C, H, W), float32.
        labels: from 0 to `num_classes - 1`, (N,), int64.
        num_classes: how many classes.
    """

    images: Tensor = field(repr=lambda images: f"<{tuple(images.shape)}>")
    labels: Tensor = field(repr=lambda labels: f"<{tuple(labels.shape)}>")
    num_classes: int

    @property
    def shape(self) -> Shape:
        """The sizes that a network takes from it."""
        return Shape(self.images.shape[1], self.images.shape[-1], self.num_classes)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Take samples; nothing is drawn."""
        del seeds
        check_bounds("indices", indices, maximum=len(self) - 1)
        return Batch(self.images.index_select(0, indices), self.labels.index_select(0, indices))
