"""Batches of image files, read ahead by worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from attrs import frozen
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Items

from fpdm.data.listing import Listing
from fpdm.data.pixels import read_pixels
from fpdm.errors import InvalidValueError


@frozen(eq=False)
class ImageBatch:
    """Images that could be read, and what was wrong with the others.

    Attributes:
        indices: of the images in their listing.
        images: (B, C, H, H), in [-1, 1].
        errors: by index, what was wrong.
    """

    indices: tuple[int, ...]
    images: Tensor
    errors: Mapping[int, str]


def read_batches(
    listing: Listing,
    batches: Sequence[Sequence[int]],
    *,
    size: int,
    channels: int,
    workers: int,
) -> Iterator[ImageBatch]:
    """Read images in batches; what cannot be read is left out of its batch.

    Args:
        listing: the files.
        batches: the indices of each batch.
        size: height and width of the images, in pixels.
        channels: 1 for grey, 3 for colours.
        workers: processes that read ahead; with 0 this one reads, when a batch is asked for.

    Returns:
        An iterator over the batches, in their order.
    """
    loader = DataLoader(
        _Files(listing, size, channels),
        batch_sampler=[list(batch) for batch in batches],
        collate_fn=_collate,
        num_workers=workers,
        generator=torch.Generator(),  # the global one is the caller's
    )
    return iter(loader)


@frozen(eq=False)
class _Files(Items[tuple[int, Tensor | str]]):
    """Each file with its index: its pixels, or why it cannot be read."""

    listing: Listing
    size: int
    channels: int

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        path = self.listing.path(index)
        try:
            return index, read_pixels(path, size=self.size, channels=self.channels)
        except InvalidValueError as error:  # a worker could not raise it as it is
            return index, str(error)


def _collate(read: Sequence[tuple[int, Tensor | str]]) -> ImageBatch:
    images = {index: found for index, found in read if isinstance(found, Tensor)}
    errors = {index: found for index, found in read if isinstance(found, str)}
    stacked = torch.stack(list(images.values())) if images else torch.empty(0)
    return ImageBatch(tuple(images), stacked, errors)
