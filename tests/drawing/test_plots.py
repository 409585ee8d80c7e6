"""Samples that are no images are drawn, whatever they hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpdm.drawing.plots import COLOURS, plot

SHAPES = [(1,), (2,), (5,), (1, 7), (3, 4), (1, 3, 4, 5), (2, 2, 3, 4), (1, 2, 3, 2, 2)]


@given(
    shape=st.sampled_from(SHAPES),
    count=st.integers(1, 30),
    scale=st.sampled_from([0.0, 1e-20, 1.0, 1e20]),
    broken=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_anything_is_drawn(shape, count, scale, broken, seed):
    samples = (np.random.default_rng(seed).normal(size=(count, *shape)) * scale).astype("f4")
    if broken:
        samples[0] = np.nan
    picture = plot(samples, title="title", classes=[index % 3 for index in range(count)])
    assert min(picture.size) > 100 or shape[1:]


@pytest.mark.parametrize(
    "numbers", [[0.0], [1.3e19], [1.3e19] * 3, [1e19, 1.0000001e19], [-2e-30, 3]]
)
def test_numbers_that_are_all_but_the_same_are_one_bar_or_two(numbers):
    picture = plot(np.array(numbers, dtype="f8")[:, None], title="")
    assert COLOURS[0] in painted(picture)


def painted(picture) -> set[str]:
    return {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in picture.convert("RGB").getcolors(2**20)}


def test_a_class_has_a_colour():
    points = np.array([[0, 0], [1, 1], [0, 1]], dtype="f4")
    assert {*COLOURS[:3]} <= painted(plot(points, title="", classes=[0, 1, 2]))
    assert not {*COLOURS[1:]} & painted(plot(points, title=""))


@pytest.mark.parametrize("side", [1.0, 3.0])
def test_points_stand_where_they_are(side):
    corners = np.array([[0, 0], [side, side]], dtype="f4")
    blue = np.asarray(plot(corners, title="").convert("RGB")).astype(int)
    dots = np.argwhere((blue == [0x40, 0x63, 0xD8]).all(axis=2))
    upper, lower = dots[dots[:, 0] < dots[:, 0].mean()], dots[dots[:, 0] > dots[:, 0].mean()]
    assert upper[:, 1].min() > lower[:, 1].max()  # the larger is above, and to the right
