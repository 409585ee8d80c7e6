"""A folder of image files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import choice, flag, whole
from fpdm.data.dataset import Batch, Dataset, Shape
from fpdm.data.kept import KeptImages
from fpdm.data.listing import ORDERS, Listing, list_images
from fpdm.data.paths import existing_folder
from fpdm.data.pixels import MODES, as_pixels, read_levels
from fpdm.data.samples import coin, samples
from fpdm.errors import InvalidValueError

CACHE_BYTES = 2**28
"""87 000 images of 32 × 32 pixels in colours, or 5 000 of 128 × 128."""


def _grey_or_colours(_: Any, field: Any, value: Any) -> None:
    if isinstance(value, bool) or value not in MODES:
        raise InvalidValueError(f"{field.name}={value!r}: must be 1 (grey) or 3 (colours).")


@frozen(eq=False)
class _Sample:
    """The pixels and the class of a file, and the files before it that cannot be read."""

    pixels: Tensor
    label: int
    skipped: list[str]


@frozen(eq=False)
class ImageFolder(Dataset):
    """The image files below a folder, as squares of `size` pixels.

    They are PNG, JPEG, WebP, BMP, GIF, TIFF, PPM and, where Pillow has it, AVIF. `root/class/…`
    holds the images of a class, at any depth; classes are numbered in the order of their names, `2`
    before `10`. Images that lie directly in `root` have no classes. Files are in the order of their
    names; hidden ones and folders without an image are passed over.

    Args:
        root: the folder.
        size: height and width of an image, in pixels; see [`square`][fpdm.data.square].
        channels: 3 for colours, 1 for grey.
        flip: whether samples are mirrored left to right with probability ½, as their seeds draw.
        strict: whether a file that cannot be read is an error. Otherwise the next one that can be
            read takes its place, with its own class, and the batch names it in `unreadable`.
        cache_bytes: memory in which each process that reads keeps decoded images, so that no file
            is decoded twice. They are kept if all of them fit, with `channels * size**2` bytes
            each; 0 keeps none.
        order: of the classes: `natural`, or `text`, in which `10` comes before `2`, and with which
            only PNG, JPEG and WebP files are found, as it was before there was this option.

    Raises:
        InvalidValueError: there is no such folder, no image in it, or images both beside and in
            folders of classes; from `batch`, a file cannot be read and `strict`, or none can.

    Warns:
        DataWarning: folders hold files, and none of a kind that is read; or pictures are of kinds
            that are not read.
    """

    name: ClassVar[str] = "image-folder"
    kept_options: ClassVar[Mapping[str, Any]] = {"order": "text"}

    root: Path = field(converter=existing_folder, repr=lambda root: repr(str(root)))
    size: int = field(default=32, kw_only=True, validator=whole(minimum=1))
    channels: int = field(default=3, kw_only=True, validator=_grey_or_colours)
    flip: bool = field(default=True, kw_only=True, validator=flag)
    strict: bool = field(default=False, kw_only=True, validator=flag)
    cache_bytes: int = field(default=CACHE_BYTES, kw_only=True, validator=whole(minimum=0))
    order: str = field(default="natural", kw_only=True, validator=choice(*ORDERS))
    listing: Listing = field(init=False, repr=False)
    _kept: KeptImages = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        listing = list_images(self.root, order=self.order)
        object.__setattr__(self, "listing", listing)
        kept = KeptImages(len(self), channels=self.channels, size=self.size, limit=self.cache_bytes)
        object.__setattr__(self, "_kept", kept)  # of a frozen class

    @property
    def shape(self) -> Shape:
        """The sizes that a network takes from it."""
        names = dict(enumerate(self.listing.class_names))
        return Shape(self.channels, self.size, len(names), names)

    def __len__(self) -> int:
        return len(self.listing.files)

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Read samples, mirrored as their seeds draw."""
        asked = samples(indices, seeds, size=len(self))
        images = torch.empty(len(indices), self.channels, self.size, self.size)
        labels = torch.empty(len(indices), dtype=torch.int64)
        unreadable: list[str] = []
        for row, (index, generator) in enumerate(asked):
            sample = self._read(index)
            mirrored = self.flip and coin(generator)
            images[row] = sample.pixels.flip(-1) if mirrored else sample.pixels
            labels[row] = sample.label
            unreadable += sample.skipped
        return Batch(images, labels, tuple(dict.fromkeys(unreadable)))

    def _read(self, index: int) -> _Sample:
        """The file at an index, or the next one that can be read."""
        skipped: list[str] = []
        why: list[str] = []
        for step in range(len(self)):
            taken = (index + step) % len(self)
            try:
                levels = self._levels(taken)
            except InvalidValueError as error:
                if self.strict:
                    raise
                why += [str(error)] if taken == 0 else []
                skipped.append(str(self.listing.path(taken)))
            else:
                return _Sample(as_pixels(levels), self.listing.labels[taken], skipped)
        raise InvalidValueError(
            f"{self.listing.root}: not one of its {len(self)} images can be read; of the first: "
            f"{why[0]}"
        )

    def _levels(self, index: int) -> Tensor:
        """A file as bytes, (C, H, H), decoded if it is not kept."""
        kept = self._kept.get(index)
        if kept is None:
            path = self.listing.path(index)
            kept = read_levels(path, size=self.size, channels=self.channels)
            self._kept.put(index, kept)
        return kept
