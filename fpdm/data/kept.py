"""Decoded images that are kept in memory."""

from __future__ import annotations

import torch
from torch import Tensor


class KeptImages:
    """The levels of images, kept when they are first read, if there is room for all of them.

    A copy in another process begins with none.

    Args:
        count: how many images there are.
        channels: of an image.
        size: its height and width.
        limit: bytes that may be taken; where all images take more, none is kept.
    """

    def __init__(self, count: int, *, channels: int, size: int, limit: int) -> None:
        self._shape = (count, channels, size, size)
        self._limit = limit
        self._fits = count * channels * size * size <= limit
        self._levels: Tensor | None = None
        self._there = bytearray(count if self._fits else 0)

    def get(self, index: int) -> Tensor | None:
        """What is kept of an image.

        Args:
            index: which, from 0.

        Returns:
            Its levels, (C, H, H), uint8; None if it is not kept.
        """
        if self._levels is None or not self._there[index]:
            return None
        return self._levels[index]

    def put(self, index: int, levels: Tensor) -> None:
        """Keep an image, if there is room for all.

        Args:
            index: which, from 0.
            levels: what is to be kept, (C, H, H), uint8.
        """
        if not self._fits:
            return
        if self._levels is None:
            self._levels = torch.empty(self._shape, dtype=torch.uint8)
        self._levels[index] = levels
        self._there[index] = True

    def __reduce__(self) -> tuple[object, ...]:
        count, channels, size, _ = self._shape
        return _empty, (count, channels, size, self._limit)


def _empty(count: int, channels: int, size: int, limit: int) -> KeptImages:
    return KeptImages(count, channels=channels, size=size, limit=limit)
