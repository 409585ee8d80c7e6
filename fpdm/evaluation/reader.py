"""The network of a classifier that is trained on a reference."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn

WIDTH = 64
"""Features, which are what the last layer sees."""

LARGEST = 64
"""Pixels of a side; larger images are averaged to half of their size until they fit."""


class Reader(nn.Module):
    """A body, from samples to features, and a head, from features to classes.

    Args:
        body: that ends with a linear layer of `WIDTH` features and a ReLU.
        num_classes: how many classes.
    """

    def __init__(self, body: nn.Sequential, num_classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(WIDTH, num_classes)

    @property
    def last(self) -> nn.Linear:
        """The layer that makes the features, before their ReLU."""
        return cast("nn.Linear", self.body[-2])

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the classes.

        Args:
            images: (B, C, …), float32.

        Returns:
            (B, K).
        """
        logits: Tensor = self.head(self.body(images))
        return logits


def reader(sample: tuple[int, ...], num_classes: int) -> Reader:
    """A network for samples of a shape: three convolutions for images, two layers for others.

    Args:
        sample: the shape, (C, …).
        num_classes: how many classes it reads.

    Returns:
        The network, with weights from torch's generator.
    """
    channels, *extents = sample
    if len(extents) != 2:
        flat = nn.Linear(math.prod(sample), 2 * WIDTH)
        body = nn.Sequential(nn.Flatten(), flat, nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH), nn.ReLU())
        return Reader(body, num_classes)
    scale = _scale(extents)
    sides = [-(-(side // scale) // 4) for side in extents]  # after two strides of 2
    body = nn.Sequential(
        nn.AvgPool2d(scale),
        nn.Conv2d(channels, 24, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(24, 48, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(48, 48, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(48 * math.prod(sides), WIDTH),
        nn.ReLU(),
    )
    return Reader(body, num_classes)


def _scale(extents: list[int]) -> int:
    """Of how many pixels of a side one is made: as few as needed, and no more than there are."""
    scale = 1
    while max(extents) // scale > LARGEST and min(extents) >= 2 * scale:
        scale *= 2
    return scale
