"""One picture of many samples: labelled rows on a white page."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from PIL import Image, ImageDraw, ImageFont

CELL = 44
GAP = 4
MARGIN = 16
HEADING = 22


@frozen(eq=False)
class Row:
    """Images side by side.

    Attributes:
        label: what stands to their left; empty for nothing.
        images: all of one size.
        heading: what stands above them, where a group of rows begins; empty for nothing.
    """

    label: str
    images: Sequence[Image.Image]
    heading: str = ""


def gallery(rows: Sequence[Row], *, title: str) -> Image.Image:
    """Draw the rows under a title; small images are enlarged so that a person can see them.

    Args:
        rows: from top to bottom; at least one.
        title: what stands above them.

    Returns:
        The picture, each image 44 × 44 pixels; grey unless an image has colours.
    """
    plain, bold = ImageFont.load_default(13), ImageFont.load_default(17)
    labels = max((plain.getlength(row.label) for row in rows), default=0)
    left = MARGIN + int(labels) + (12 if labels else 0)
    columns = max(len(row.images) for row in rows)
    width = left + columns * (CELL + GAP) - GAP + MARGIN
    width = max(width, MARGIN * 2 + int(bold.getlength(title)))
    height = MARGIN * 2 + 28 + sum(CELL + GAP + (HEADING + 6) * bool(row.heading) for row in rows)

    page = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN - 4), title, fill=0, font=bold)
    top = MARGIN + 28
    for row in rows:
        if row.heading:
            pen.text((MARGIN, top + 6), row.heading, fill=0, font=ImageFont.load_default(15))
            top += HEADING + 6
        pen.text((MARGIN, top + CELL / 2), row.label, fill=60, font=plain, anchor="lm")
        for column, image in enumerate(row.images):
            if page.mode == "L" and image.mode != "L":
                page = page.convert("RGB")
                pen = ImageDraw.Draw(page)
            enlarged = image.resize((CELL, CELL), Image.Resampling.BICUBIC)
            page.paste(enlarged, (left + column * (CELL + GAP), top))
        top += CELL + GAP
    return page
