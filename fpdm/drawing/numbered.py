"""A folder of images, one PNG for each number."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from fpdm.runtime.storage import written_file

DIGITS = 6
SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"IEND"


def numbered(folder: Path, number: int) -> Path:
    """The path of the image of a number: `000000.png`, and longer names from a million on.

    Args:
        folder: of the images.
        number: from 0.
    """
    return folder / f"{number:0{DIGITS}d}.png"


def write_images(images: Iterable[Image.Image], paths: Iterable[Path]) -> None:
    """Write each image to its path as a PNG, compressing several at a time.

    Each is there whole or not at all, but for a loss of power: see `is_whole`.

    Args:
        images: of any mode that PNG has.
        paths: as many as images.
    """
    with ThreadPoolExecutor() as pool:
        for path, data in zip(paths, pool.map(_compress, images), strict=True):
            with written_file(path, flushed=False) as beside:
                beside.write_bytes(data)


def is_whole(path: Path) -> bool:
    """Whether there is a PNG that ends as it should, and whose checksums are right.

    A chunk of a PNG is its length, four letters, what it holds, and the CRC-32 of the last two.
    Source: PNG (Portable Network Graphics) specification, W3C, 2003.

    Args:
        path: the file; it may be missing.
    """
    try:
        data = memoryview(path.read_bytes())
    except FileNotFoundError:
        return False
    if data[: len(SIGNATURE)] != SIGNATURE:
        return False
    at, name = len(SIGNATURE), b""
    while at < len(data) and name != END:
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        name = bytes(data[at + 4 : at + 8])
        if zlib.crc32(data[at + 4 : end]).to_bytes(4, "big") != data[end : end + 4]:
            return False
        at = end + 4
    return name == END and at == len(data)


def _compress(image: Image.Image) -> bytes:
    with io.BytesIO() as stream:
        image.save(stream, format="PNG")
        return stream.getvalue()
