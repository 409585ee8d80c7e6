"""One picture of many samples: nothing is shrunk, and classes stand together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fpdm.drawing.gallery import CELL, LONGEST, Row, columns_of, gallery, rows_by_class

SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))


def noise(size: tuple[int, int], mode: str = "L", seed: int = 0) -> Image.Image:
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def holds(page: Image.Image, image: Image.Image) -> bool:
    """Whether an image stands on a page, to the last bit."""
    whole, part = np.asarray(page), np.asarray(image)
    found = np.lib.stride_tricks.sliding_window_view(whole, part.shape)
    first = np.argwhere((found[..., 0, 0] == part[0, 0]) if part.ndim == 2 else np.zeros(1))
    return any(np.array_equal(found[tuple(place)], part) for place in first)


@pytest.mark.parametrize("size", [CELL, 64, 100])
def test_an_image_is_never_shrunk(size):
    images = [noise((size, size), seed=seed) for seed in range(3)]
    page = gallery([Row("a", images[:2]), Row("b", images[2:])], title="title")
    assert all(holds(page, image) for image in images)


@given(SIZES, st.integers(1, 12))
def test_a_page_has_room_for_its_images_whatever_their_size(size, count):
    images = [Image.new("L", size)] * count
    page = gallery([Row("", images)], title="")
    assert page.width >= count * size[0]
    assert page.height >= size[1]
    assert max(page.size) >= CELL


def test_a_small_image_is_enlarged():
    page = np.asarray(gallery([Row("", [Image.new("L", (8, 8), 0)])], title=""))
    assert (page == 0).sum() >= CELL * CELL


def test_a_coloured_image_makes_a_coloured_page():
    grey, coloured = Image.new("L", (50, 50), 9), Image.new("RGB", (50, 50), (200, 0, 0))
    assert gallery([Row("", [grey])], title="").mode == "L"
    page = np.asarray(gallery([Row("", [grey, coloured])], title=""))
    assert (page == (200, 0, 0)).all(axis=-1).sum() == 50 * 50
    assert (page == (9, 9, 9)).all(axis=-1).sum() == 50 * 50


def test_a_cross_takes_the_place_of_an_image_that_is_none():
    image = Image.new("L", (64, 64), 0)
    whole = np.asarray(gallery([Row("", [image, image])], title=""))
    crossed = np.asarray(gallery([Row("", [image, None])], title=""))
    assert whole.shape == crossed.shape
    assert (whole == 0).sum() - (crossed == 0).sum() == 64 * 64
    assert gallery([Row("", [None])], title="").size


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_the_rows_hold_each_image_once_with_those_of_its_class(numbers):
    images = [Image.new("L", (1, 1), place) for place in range(len(numbers))]
    rows = rows_by_class(numbers, images, {})
    shown = [image for row in rows for image in row.images]
    places = [image.getpixel((0, 0)) for image in shown]
    assert sorted(places) == list(range(len(numbers)))
    mixed = len(set(numbers)) > 1
    label = ""
    for row in rows:
        label = row.label or label
        assert len(row.images) <= columns_of(images)
        for image in row.images:
            assert label == (str(numbers[image.getpixel((0, 0))]) if mixed else "")
    assert [row.label for row in rows if row.label] == [
        str(number) for number in dict.fromkeys(numbers) if mixed
    ]


def test_a_class_is_called_by_its_number_and_its_name_in_a_few_characters():
    image = Image.new("L", (8, 8))
    names = {0: "cat, kitten", 1: "1", 2: "x" * 99}
    labels = [row.label for row in rows_by_class([0, 1, 2, 3], [image] * 4, names)]
    assert labels[:2] == ["0 cat, kitten", "1"]
    assert len(labels[2]) == LONGEST
    assert labels[3] == "3"


def test_rows_of_large_images_are_broken_sooner():
    assert [columns_of([Image.new("L", (size,) * 2)]) for size in (8, 64, 256, 512)] == [
        *(10, 10, 6, 4)
    ]
    assert columns_of([None]) == 10


def test_many_short_rows_stand_beside_one_another():
    rows = [Row(str(number), [Image.new("L", (64, 64))]) for number in range(40)]
    page = gallery(rows, title="")
    assert page.height < 9 * 80
    assert page.width < 1700
    headed = gallery([Row("", row.images, heading="a") for row in rows], title="")
    assert headed.height > 40 * 64
