"""Emoji: real pictures in colours that ship inside the package."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from fpdm.data.dataset import Batch, Dataset, Shape
from fpdm.data.labelled import LabelledImages
from fpdm.data.packed_images import PackedImages, unpack
from fpdm.data.pixels import as_pixels
from fpdm.data.samples import coin, samples
from fpdm.errors import InvalidValueError

FILE = Path(__file__).parent / "packed" / "emoji.xz"
"""Beside it stands a NOTICE of whose pictures they are, and under which licences."""

SIZE = 32
CLASSES = (
    *("activities", "animals", "food", "objects"),
    *("people", "smileys", "symbols", "travel"),
)
STYLES = (
    *("Noto Emoji", "Twemoji", "Fluent Emoji", "Fluent Emoji Flat"),
    *("Noto Emoji v1", "EmojiOne 2", "Firefox OS Emoji"),
)
"""Who drew them, by number."""


def emoji() -> LabelledImages:
    """9762 emoji in colours on white, 32 × 32 pixels, 8 classes, style by style.

    Source: Noto Emoji (two versions), Twemoji, Fluent Emoji (two styles), EmojiOne 2 and Firefox OS
    Emoji, drawn of their vectors; licences and authors are in the NOTICE beside the file.

    Returns:
        Images, (9762, 3, 32, 32), in [-1, 1], which take 120 MB, and labels from 0 to 7, (9762,).

    Raises:
        InvalidValueError: the file of the package is damaged.
        MissingDependencyError: this Python was built without LZMA.
    """
    packed = _packed()
    return LabelledImages(
        as_pixels(packed.levels), packed.labels, len(CLASSES), dict(enumerate(CLASSES))
    )


class Emoji(Dataset):
    """9762 emoji of 32 × 32 pixels in 8 classes; see [`emoji`][fpdm.data.emoji].

    They are kept as bytes, of which all data sets of a process share one copy of 30 MB.

    Source: Noto Emoji, Twemoji, Fluent Emoji, EmojiOne 2 and Firefox OS Emoji.

    Args:
        flip: whether samples are mirrored left to right with probability ½, as their seeds draw.
            Arrows, flags, clocks and letters are then others than they were.

    Attributes:
        labels: the class of each, (9762,), int64, from 0 to 7.
        styles: who drew each, by the number in `style_names`, (9762,), int64.
        style_names: the seven styles, by number.

    Raises:
        InvalidValueError: the file of the package is damaged, or `flip` is neither true nor false.
        MissingDependencyError: this Python was built without LZMA.
    """

    name: ClassVar[str] = "emoji"
    style_names: ClassVar[tuple[str, ...]] = STYLES

    def __init__(self, *, flip: bool = False) -> None:
        if not isinstance(flip, bool):
            raise InvalidValueError(f"flip={flip!r}: must be true or false.")
        self.flip = flip
        packed = _packed()
        self._levels = packed.levels
        self.labels = packed.labels
        self.styles = packed.styles

    @property
    def shape(self) -> Shape:
        """The sizes that a network takes from it."""
        return Shape(3, SIZE, len(CLASSES), dict(enumerate(CLASSES)))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Take samples, mirrored as their seeds draw if `flip` is on."""
        asked = samples(indices, seeds, size=len(self))
        images = as_pixels(self._levels[indices])
        if self.flip:
            mirrored = torch.tensor([coin(generator) for _, generator in asked], dtype=torch.bool)
            images[mirrored] = images[mirrored].flip(-1)
        return Batch(images, self.labels[indices])

    def __reduce__(self) -> tuple[partial[Emoji], tuple[()]]:
        """A copy in another process reads the file itself."""
        return partial(type(self), flip=self.flip), ()


@cache
def _packed() -> PackedImages:
    return unpack(FILE, size=SIZE)
