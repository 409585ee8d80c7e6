"""The images of a folder as one `.npz`, as evaluation programs read them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fpdm.checks import check_whole
from fpdm.drawing.numbered import is_whole, numbered
from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import written_file

MEMBER = "arr_0.npy"


def archive(folder: Path | str, num: int) -> Path:
    """Write the first images of a folder into an archive beside it, whole or not at all.

    `arr_0` is (N, H, W, 3), uint8, in the order of the numbers; grey images are repeated in three
    channels. It is what the evaluation suite of ADM (Dhariwal and Nichol, 2021) reads. One image
    at a time is in memory, and the same images make the same bytes.

    Args:
        folder: that [`draw`][fpdm.drawing.draw] has filled.
        num: how many images, N.

    Raises:
        InvalidValueError: `num` is below 1; or an image is missing, is not whole, or has another
            size than the first.

    Returns:
        The archive: for `runs/samples` it is `runs/samples.npz`.
    """
    check_whole("num", num, minimum=1)
    folder = Path(os.path.abspath(folder))  # so that it has a name
    target = folder.with_name(f"{folder.name}.npz")
    size = _read(numbered(folder, 0)).shape
    header = {"descr": "|u1", "fortran_order": False, "shape": (num, *size)}
    with (
        written_file(target) as beside,
        zipfile.ZipFile(beside, "w") as file,
        file.open(zipfile.ZipInfo(MEMBER), "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        for pixels in _images(folder, num, size):
            member.write(pixels.tobytes())
    return target


def _images(folder: Path, num: int, size: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    for path in (numbered(folder, number) for number in range(num)):
        pixels = _read(path)
        if pixels.shape != size:
            raise InvalidValueError(
                f"{path} has {pixels.shape[1]} × {pixels.shape[0]} pixels, but the first image has "
                f"{size[1]} × {size[0]}: remove it, and draw it again."
            )
        yield pixels


def _read(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image in three channels, (H, W, 3)."""
    if not is_whole(path):
        raise InvalidValueError(f"{path} is missing, or not whole: draw it before the archive.")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
