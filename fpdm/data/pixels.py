"""An image file as a square of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fpdm.data.decoding import decode, reason
from fpdm.errors import InvalidValueError, shown

MODES = {1: "L", 3: "RGB"}
"""By channels."""


def read_pixels(path: Path, *, size: int, channels: int) -> Tensor:
    """Read the square in the middle of an image, as a network takes it.

    Args:
        path: of any kind that is read here.
        size: height and width, in pixels.
        channels: 1 for grey, 3 for colours.

    Returns:
        (channels, size, size), float32, in [-1, 1].

    Raises:
        InvalidValueError: as of `read_levels`.
    """
    return as_pixels(read_levels(path, size=size, channels=channels))


def as_pixels(levels: Tensor) -> Tensor:
    """Levels of brightness as a network takes them.

    Args:
        levels: from 0 to 255, (…, C, H, W), uint8.

    Returns:
        Shaped like `levels`, float32, in [-1, 1].
    """
    return levels.float() / 127.5 - 1


def read_levels(path: Path, *, size: int, channels: int) -> Tensor:
    """Read the square in the middle of an image, as levels of brightness.

    The image is turned as its camera says, put on white where it is transparent, and shrunk or
    enlarged by [`square`][fpdm.data.square]. Of one that moves it is the first frame.

    Args:
        path: of any kind that is read here.
        size: height and width, in pixels.
        channels: 1 for grey, 3 for colours.

    Returns:
        (channels, size, size), uint8.

    Raises:
        InvalidValueError: the file is damaged, no such image, or too large to unpack.
    """
    try:
        image = square(decode(path).convert(MODES[channels]), size)
    except Exception as error:  # a damaged file fails in many ways
        said = f"{shown(path)} cannot be read as an image: {reason(error)}."
        raise InvalidValueError(said) from error
    levels = torch.from_numpy(np.array(image)).reshape(size, size, channels)
    return levels.permute(2, 0, 1)


def square(image: Image.Image, size: int) -> Image.Image:
    """Shrink or enlarge an image until its short side is `size`, and cut out the middle.

    While the short side is `2 * size` or more, both are halved by averaging; a bicubic filter does
    the rest. This is how Dhariwal and Nichol 2021 (arXiv:2105.05233) prepare ImageNet.

    Args:
        image: of any mode that can be averaged.
        size: height and width, in pixels.

    Returns:
        `size` × `size` pixels.

    Raises:
        InvalidValueError: the image is so long that it would be too large on the way.
    """
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
        raise InvalidValueError(f"{image.width} × {image.height} is too long for a square.")
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))
