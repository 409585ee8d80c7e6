"""An image file as pixels of eight bits, upright and on white, whatever kind of file it is."""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

OLD_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
KINDS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
}
"""Suffixes of the kinds of files that are read, by what Pillow calls them."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image is turned, by its orientation in EXIF."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ASIDE = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
"""Chunks of a PNG that say nothing of its pixels."""

SMALL_GREY = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies grey of few bits by, and leaves the transparent level as it is."""


@lru_cache(maxsize=1)
def kinds() -> tuple[str, ...]:
    """The kinds of files that are read here; AVIF only where Pillow was built with it."""
    from PIL import features

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an older Pillow, which does not know the name
        built = {"AVIF": features.check("avif"), "WEBP": features.check("webp")}
    return tuple(kind for kind in KINDS if built.get(kind, True))


@lru_cache(maxsize=1)
def suffixes() -> tuple[str, ...]:
    """The suffixes of these kinds, in small letters."""
    return tuple(suffix for kind in kinds() for suffix in KINDS[kind])


def decode(path: Path) -> Image.Image:
    """Read an image: of one that moves the first frame, of one with pages the first page.

    It is turned as its camera says, and put on white where it is transparent. Sixteen bits become
    eight. Numbers with fractions are levels from 0 to 1, 255 or 65535, whichever holds all of them.

    Args:
        path: of the file.

    Returns:
        The image, of eight bits in each channel.

    Raises:
        Exception: the file is damaged, no such image, or too large to unpack; of many kinds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that are odd, and can be read
        try:
            return _flat(path)
        except Exception:
            content = _without_asides(path)
            if content is None:
                raise
            return _flat(io.BytesIO(content))


def reason(error: Exception) -> str:
    """Why a file could not be read, in words without a full stop.

    Args:
        error: as `decode` raises it.
    """
    if isinstance(error, UnidentifiedImageError):
        return f"it is no {', '.join(kinds()[:-1])} or {kinds()[-1]}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _flat(file: Path | io.BytesIO) -> Image.Image:
    with Image.open(file, formats=kinds()) as opened:
        raw = str(opened.tile[0][3]) if opened.tile else ""  # how the file holds its pixels
        opened.load()
        image = _upright(opened)
        if (clear := _transparent(opened, raw)) is not None:
            image.info["transparency"] = clear
        return _on_white(image)


def _upright(image: Image.Image) -> Image.Image:
    """Turn it; of what a camera says more than that, nothing is read."""
    try:
        turned = UPRIGHT.get(int(image.getexif().get(ExifTags.Base.Orientation, 1)))
    except Exception:  # what stands there is no EXIF, which is no reason to lose the image
        turned = None
    return image.copy() if turned is None else image.transpose(turned)


def _transparent(image: Image.Image, raw: str) -> object:
    """The level or colour that stands for nothing, in the units of the pixels as they were read."""
    found = image.info.get("transparency")
    if isinstance(found, int) and raw in SMALL_GREY and image.mode == "L":
        return found * SMALL_GREY[raw]
    if isinstance(found, tuple) and "16" in raw:
        return tuple(int(level) >> 8 for level in found)
    return found


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # which a conversion would clip
        values = np.asarray(image).astype(np.float64)
        grey = _levels(values, fractions=image.mode == "F")
        if (clear := image.info.get("transparency")) is not None:
            grey[values == clear] = 255
        return Image.fromarray(grey)
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))


def _levels(values: NDArray[np.float64], *, fractions: bool) -> NDArray[np.uint8]:
    """Brightness from 0 to 255, (H, W)."""
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 65535:
        raise ValueError(f"its levels go from {low:g} to {high:g}: they must from 0 to 65535")
    most = 65535 if high > 255 or not fractions else 255 if high > 1 else 1
    return np.asarray((values / (most / 255)).round(), dtype=np.uint8)


def _without_asides(path: Path) -> bytes | None:
    """A PNG without texts and colour profiles, which may be damaged or huge; None if it is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return None
        content = SIGNATURE + file.read()
    kept, at = [SIGNATURE], len(SIGNATURE)
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] not in ASIDE:
            kept.append(content[at:end])
        at = end
    return b"".join(kept)
