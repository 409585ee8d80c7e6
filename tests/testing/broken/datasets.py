"""Data sets that break one law each."""

from typing import ClassVar

import torch

from fpdm.data import Batch, Dataset, Shape
from fpdm.data.bounds import check_bounds


class Whole(Dataset):
    """Keeps every law; those below change one thing."""

    name: ClassVar[str] = "whole"
    shape = Shape(channels=1, size=3, num_classes=2)

    def __len__(self):
        return 10

    def batch(self, indices, seeds):
        check_bounds("indices", indices, maximum=9)
        values = ((indices + seeds) % 11) / 11
        return Batch(values[:, None, None, None].expand(-1, 1, 3, 3).clone(), indices % 2)


class Empty(Whole):
    def __len__(self):
        return 0


class Names(Whole):
    shape = Shape(channels=1, size=3, num_classes=2, class_names={2: "third"})


class Bright(Whole):
    def batch(self, indices, seeds):
        batch = super().batch(indices, seeds)
        return Batch(batch.images * 255, batch.labels)


class Doubles(Whole):
    def batch(self, indices, seeds):
        batch = super().batch(indices, seeds)
        return Batch(batch.images.double(), batch.labels)


class Counts(Whole):
    """Numbers its classes from 1."""

    def batch(self, indices, seeds):
        batch = super().batch(indices, seeds)
        return Batch(batch.images, batch.labels + 1)


class Centres(Whole):
    def batch(self, indices, seeds):
        batch = super().batch(indices, seeds)
        return Batch((batch.images - batch.images.mean()) / 2, batch.labels)


class Rolls(Whole):
    def batch(self, indices, seeds):
        batch = super().batch(indices, seeds)
        return Batch(batch.images + 0 * torch.rand(()), batch.labels)


class Holds(Whole):
    def __init__(self):
        self.draw = lambda: 0


class Wraps(Whole):
    def batch(self, indices, seeds):
        return super().batch(indices % 10, seeds)
