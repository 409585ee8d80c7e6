"""Data sets made up for a test."""

from collections.abc import Sequence

import torch

from fpdm.data import Batch, Dataset, Shape


class Named(Dataset):
    """Small pictures of noise, of classes that have these names; without any, of no class."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    @property
    def shape(self) -> Shape:
        names = dict(enumerate(self.names))
        return Shape(channels=1, size=8, num_classes=len(names), class_names=names)

    def __len__(self) -> int:
        return 20

    def batch(self, indices: torch.Tensor, seeds: torch.Tensor) -> Batch:  # noqa: ARG002
        drawn = [torch.Generator().manual_seed(int(index)) for index in indices]
        images = torch.stack([torch.rand(1, 8, 8, generator=each) * 2 - 1 for each in drawn])
        return Batch(images, indices % len(self.names) if self.names else None)
