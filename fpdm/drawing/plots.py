"""Samples that are no images, drawn so that a person can look at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fpdm.checks import shows
from fpdm.drawing.gallery import Row, gallery

SIDE = 480
"""Pixels of the side of a plot."""

FINER = 3
"""Pixels that are drawn for one, and averaged."""

MARGIN = 0.06
DOT = 2.2
ALIKE = 5
CURVES = 12
BARS = 60
SLICES = 40
COLOURS = (
    *("#4063d8", "#e4572e", "#389826", "#9558b2", "#e0a100"),
    *("#17becf", "#8c564b", "#d62790", "#5b6770", "#9acd32"),
)
"""Of classes, by number."""

Array = NDArray[np.float32]


def plot(samples: Array, *, title: str, classes: Sequence[int] = ()) -> Image.Image:
    """Draw samples that are no images.

    Points are dots at their first two coordinates, or bars of a histogram if they have one alone;
    signals are curves, the first twelve; of volumes it is the slice in the middle.

    Args:
        samples: (B, C, …), finite or not; those that are not are left out.
        title: what stands above them.
        classes: the number of the class of each, which is its colour; empty for none.

    Returns:
        The picture.
    """
    finite = np.isfinite(samples.reshape(len(samples), -1)).all(axis=1)
    numbers = np.asarray(classes, dtype=int)[finite] if len(classes) else np.zeros(finite.sum())
    kept, paint = samples[finite], [COLOURS[int(n) % len(COLOURS)] for n in numbers]
    if samples.ndim == 2:
        return _titled([_bars(kept) if samples.shape[1] == 1 else _dots(kept, paint)], title)
    if samples.ndim == 3:
        return _titled([_curves(kept[:CURVES], paint)], title)
    return _titled([_slice(each) for each in kept[:SLICES]], title)


def _titled(images: list[Image.Image], title: str) -> Image.Image:
    rows = [Row("", images[first : first + 10]) for first in range(0, len(images), 10)]
    return gallery(rows or [Row("", [None])], title=title)


def _bars(numbers: Array) -> Image.Image:
    page, draw = _page()
    values = numbers[:, 0].astype(np.float64)
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    least = max(abs(low), abs(high), 1e-30) * 1e-9  # that many bars can tell apart
    room = max(0.0, least - (high - low))
    bars = min(BARS, max(10, len(values) // 10))
    counts, edges = np.histogram(values, bins=bars, range=(low - room, high + room))
    across = np.linspace(0, 1, len(edges))
    corners = _pixels(np.stack([across[:-1], np.zeros(len(counts))], axis=1))
    ends = _pixels(np.stack([across[1:], counts / max(counts.max(), 1)], axis=1))
    for (left, bottom), (right, top) in zip(corners, ends, strict=True):
        draw.rectangle((left, top, max(left, right - FINER), bottom), fill=COLOURS[0])
    return _smooth(page)


def _dots(points: Array, paint: list[str]) -> Image.Image:
    page, draw = _page()
    places = _placed(points[:, :2])
    for (x, y), colour in zip(places, paint, strict=True):
        radius = DOT * FINER
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return _smooth(page)


def _curves(signals: Array, paint: list[str]) -> Image.Image:
    page, draw = _page()
    if len(signals):
        low, high = signals.min(), signals.max()
        for index, signal in enumerate(signals):
            for channel in signal:
                along = np.linspace(0, 1, len(channel))
                up = (channel - low) / max(high - low, 1e-12)
                line = _pixels(np.stack([along, up], axis=1))
                colour = COLOURS[index % len(COLOURS)] if len(set(paint)) == 1 else paint[index]
                draw.line([tuple(each) for each in line], fill=colour, width=2 * FINER)
    return _smooth(page)


def _slice(volume: Array) -> Image.Image:
    middle = volume[:, volume.shape[1] // 2]
    while middle.ndim > 3:
        middle = middle[:, middle.shape[1] // 2]
    if not shows(middle.shape):
        middle = middle[:1]
    levels = ((middle.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
    return Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))


def _page() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("RGB", (SIDE * FINER, SIDE * FINER), "white")
    return page, ImageDraw.Draw(page)


def _smooth(page: Image.Image) -> Image.Image:
    return page.resize((SIDE, SIDE), Image.Resampling.BOX)


def _placed(points: Array) -> Array:
    """Points in pixels: one unit is as long across as upwards, unless one extent is far larger."""
    if not len(points):
        return points
    low, high = points.min(axis=0), points.max(axis=0)
    extent = np.maximum(high - low, 1e-12)
    if extent.max() < ALIKE * extent.min():
        extent = extent.max()
    return _pixels((points - (low + high) / 2) / extent + 0.5)


def _pixels(shares: Array) -> Array:
    """From shares of the page, upwards, to pixels, downwards."""
    inside = MARGIN + (1 - 2 * MARGIN) * shares
    return np.stack([inside[:, 0], 1 - inside[:, 1]], axis=1) * SIDE * FINER
