"""Images as they are on the disk, to be judged: of a folder, or of one array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fpdm.data.bounds import check_bounds
from fpdm.data.dataset import Batch, Dataset, Shape
from fpdm.data.decoding import decode, kinds, reason
from fpdm.data.listing import Listing, list_images
from fpdm.data.pixels import MODES, as_pixels, square
from fpdm.errors import InvalidValueError, shown

GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L")
"""Modes of pictures without colours."""


@frozen(eq=False)
class ImageFiles(Dataset):
    """The image files below a folder, all of one size, or brought to one.

    They are found as [`ImageFolder`][fpdm.data.ImageFolder] finds them, and read as they are:
    never mirrored, and no file is passed over. They are grey if all files are.

    Args:
        root: the folder.
        size: height and width to bring them to, with [`square`][fpdm.data.square]; None leaves
            them as they are, of one size.

    Raises:
        InvalidValueError: there is no such folder, or no image in it; from `batch`, one cannot be
            read, or has another size than the first.
    """

    root: Path = field(converter=Path)
    size: int | None = None
    listing: Listing = field(init=False, repr=False)
    shape: Shape = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        listing = list_images(self.root)
        object.__setattr__(self, "listing", listing)  # of a frozen class
        first = _decoded(listing.path(0))
        extents = first.size[::-1] if self.size is None else (self.size, self.size)
        grey = all(_is_grey(listing.path(index)) for index in range(len(listing.files)))
        names = dict(enumerate(listing.class_names))
        shape = Shape(1 if grey else 3, extents, len(names), names)
        object.__setattr__(self, "shape", shape)

    def __len__(self) -> int:
        return len(self.listing.files)

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Read images; nothing is drawn."""
        del seeds
        check_bounds("indices", indices, maximum=len(self) - 1)
        levels = np.stack([self._read(self.listing.path(index)) for index in indices.tolist()])
        labels = torch.tensor(self.listing.labels)[indices] if self.shape.num_classes else None
        return Batch(as_pixels(torch.from_numpy(levels)), labels)

    def _read(self, path: Path) -> NDArray[np.uint8]:
        """A file, (C, H, W)."""
        image = _decoded(path).convert(MODES[self.shape.channels])
        _, height, width = self.shape.sample
        if self.size is not None:
            image = square(image, self.size)
        elif image.size != (width, height):
            raise InvalidValueError(
                f"{shown(path)} has {image.width} × {image.height} pixels, but the first image has "
                f"{width} × {height}: bring all to one size, as --size {min(width, height)} does."
            )
        return np.asarray(image).reshape(height, width, -1).transpose(2, 0, 1)


@frozen(eq=False)
class ImageArray(Dataset):
    """Images that are in memory as bytes.

    Args:
        levels: (N, H, W, C), uint8, C of 1 or 3. Three channels that are equal in every image are
            read as one, of grey images.
        labels: the class of each, (N,), int64; None without.
        size: height and width to bring them to; None leaves them as they are.
        name: what messages call them.

    Raises:
        InvalidValueError: they are no such array, or there are not as many labels.
    """

    levels: NDArray[np.uint8] = field(repr=lambda levels: f"<{levels.shape}>")
    labels: Tensor | None = field(default=None, repr=False)
    size: int | None = field(default=None, kw_only=True)
    title: str = field(default="images", kw_only=True, alias="name")
    shape: Shape = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        levels = self.levels
        fits = levels.dtype == np.uint8 and levels.ndim == 4 and levels.shape[-1] in (1, 3)
        if not fits or not levels.size:
            raise InvalidValueError(
                f"{self.title}: {levels.dtype} of {levels.shape}; must be uint8, (N, H, W, 3) or "
                f"(N, H, W, 1), N ≥ 1."
            )
        if self.labels is not None and self.labels.shape != (len(levels),):
            raise InvalidValueError(
                f"{self.title}: labels of {tuple(self.labels.shape)} for {len(levels)} images; "
                f"must be one for each."
            )
        grey = (levels[..., :1] == levels[..., 1:]).all()
        extents = levels.shape[1:3] if self.size is None else (self.size, self.size)
        classes = 0 if self.labels is None else int(self.labels.max()) + 1
        object.__setattr__(self, "shape", Shape(1 if grey else 3, extents, classes))

    def __len__(self) -> int:
        return len(self.levels)

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Take images; nothing is drawn."""
        del seeds
        check_bounds("indices", indices, maximum=len(self) - 1)
        chosen = self.levels[indices.numpy()][..., : self.shape.channels]
        if self.size is not None:
            chosen = np.stack([self._squared(levels) for levels in chosen])
        images = as_pixels(torch.from_numpy(np.ascontiguousarray(chosen.transpose(0, 3, 1, 2))))
        return Batch(images, None if self.labels is None else self.labels[indices])

    def _squared(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image at the size that is asked for, (H, H, C)."""
        size = self.size or 0
        image = square(
            Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else levels), size
        )
        return np.asarray(image).reshape(size, size, -1)


def _decoded(path: Path) -> Image.Image:
    try:
        return decode(path)
    except Exception as error:  # a damaged file fails in many ways
        said = f"{shown(path)} cannot be read as an image: {reason(error)}."
        raise InvalidValueError(said) from error


def _is_grey(path: Path) -> bool:
    try:
        with Image.open(path, formats=kinds()) as image:
            return image.mode in GREY
    except Exception:  # which reading it will say
        return True
