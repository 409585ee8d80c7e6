"""One picture of many samples: labelled rows on a white page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen
from PIL import Image, ImageDraw, ImageFont

CELL = 44
"""Pixels to which a smaller image is enlarged, so that a person can see it."""

WIDEST = 1600
"""Pixels of a page, beyond which rows are broken and stand below one another."""

FEWEST, MOST = 4, 10
"""Images of a row before it is broken."""

TALLEST = 8
"""Short rows that stand below one another before some are put beside them."""

GAP = 4
BESIDE = 24
MARGIN = 16
HEADING = 22
LONGEST = 28
"""Characters of a label."""


@frozen(eq=False)
class Row:
    """Images side by side.

    Attributes:
        label: what stands to their left; empty for nothing.
        images: all of one size; None for one that could not be made, in whose place is a cross.
        heading: what stands above them, where a group of rows begins; empty for nothing.
    """

    label: str
    images: Sequence[Image.Image | None]
    heading: str = ""


def rows_by_class(
    numbers: Sequence[int], images: Sequence[Image.Image | None], names: Mapping[int, str]
) -> list[Row]:
    """The rows of a gallery: where classes are mixed, those of each together, with its name.

    Args:
        numbers: of the class of each image.
        images: as many; None for one that could not be made.
        names: of the classes that have any, by number.

    Returns:
        Rows of as many images as a page is wide, classes in the order in which they come first.
    """
    groups: dict[int, list[Image.Image | None]] = {}
    for number, image in zip(numbers, images, strict=True):
        groups.setdefault(number, []).append(image)
    width = columns_of(images)
    return [
        Row("" if len(groups) == 1 or first else _name(number, names), group[first : first + width])
        for number, group in groups.items()
        for first in range(0, len(group), width)
    ]


def columns_of(images: Iterable[Image.Image | None]) -> int:
    """How many images a row holds before it is broken: 10 small ones, and 4 of the largest.

    Args:
        images: all of one size.
    """
    return max(FEWEST, min(MOST, WIDEST // (_cell(images)[0] + GAP)))


def gallery(rows: Sequence[Row], *, title: str) -> Image.Image:
    """Draw the rows under a title; small images are enlarged so that a person can see them.

    An image of 44 pixels or more is drawn as it is, to the last bit. Many short rows stand in
    several columns, from top to bottom and then from left to right, unless any has a heading.

    Args:
        rows: from top to bottom; at least one.
        title: what stands above them.

    Returns:
        The picture; grey unless an image has colours.
    """
    plain, bold = ImageFont.load_default(13), ImageFont.load_default(17)
    width, height = _cell(image for row in rows for image in row.images)
    labels = max((plain.getlength(row.label) for row in rows), default=0)
    left = int(labels) + (12 if labels else 0)
    block = left + max(len(row.images) for row in rows) * (width + GAP) - GAP
    stacks = _stacks(rows, block=block)
    heights = [sum(height + GAP + (HEADING + 6) * bool(row.heading) for row in s) for s in stacks]
    wide = MARGIN * 2 + len(stacks) * (block + BESIDE) - BESIDE
    wide = max(wide, MARGIN * 2 + int(bold.getlength(title)))
    coloured = any(image and image.mode != "L" for row in rows for image in row.images)

    page = Image.new("RGB" if coloured else "L", (wide, MARGIN * 2 + 28 + max(heights)), "white")
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN - 4), title, fill="black", font=bold)
    for index, stack in enumerate(stacks):
        edge, top = MARGIN + index * (block + BESIDE), MARGIN + 28
        for row in stack:
            if row.heading:
                font = ImageFont.load_default(15)
                pen.text((edge, top + 6), row.heading, fill="black", font=font)
                top += HEADING + 6
            middle = (edge, top + height / 2)
            pen.text(middle, row.label, fill="#3c3c3c", font=plain, anchor="lm")
            for column, image in enumerate(row.images):
                place = (edge + left + column * (width + GAP), top)
                _put(page, pen, image, place, (width, height))
            top += height + GAP
    return page


def _put(
    page: Image.Image,
    pen: ImageDraw.ImageDraw,
    image: Image.Image | None,
    place: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """Draw an image in its cell, or a cross in the place of one that could not be made."""
    if image is not None:
        as_is = image.size == size
        page.paste(image if as_is else image.resize(size, Image.Resampling.BICUBIC), place)
        return
    left, top, right, bottom = *place, place[0] + size[0] - 1, place[1] + size[1] - 1
    pen.rectangle((left, top, right, bottom), outline="#a0a0a0")
    pen.line((left, top, right, bottom), fill="#a0a0a0")
    pen.line((left, bottom, right, top), fill="#a0a0a0")


def _cell(images: Iterable[Image.Image | None]) -> tuple[int, int]:
    """Width and height of an image on the page."""
    width, height = next((image.size for image in images if image is not None), (CELL, CELL))
    scale = max(1.0, CELL / max(width, height))
    return round(width * scale), round(height * scale)


def _stacks(rows: Sequence[Row], *, block: int) -> list[Sequence[Row]]:
    """The rows in columns, of which each is `block` pixels wide."""
    room = max(1, WIDEST // (block + BESIDE))
    count = 1 if any(row.heading for row in rows) else min(room, -(-len(rows) // TALLEST))
    each = -(-len(rows) // count)
    return [rows[first : first + each] for first in range(0, len(rows), each)]


def _name(number: int, names: Mapping[int, str]) -> str:
    """A class in a few characters: its number, and its name if that says more."""
    name = names.get(number, str(number))
    text = name if name == str(number) else f"{number} {name}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
