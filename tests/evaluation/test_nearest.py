"""How far samples are from data."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpdm.errors import InvalidValueError
from fpdm.evaluation import nearest_distance, nearest_neighbours


@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 40),
    m=st.integers(1, 40),
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=3),
)
def test_it_is_the_mean_over_the_nearest(seed, n, m, shape):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, *shape)), rng.normal(size=(m, *shape))
    apart = [[np.linalg.norm(x - y) for y in b] for x in a]
    assert nearest_distance(a, b) == pytest.approx(np.min(apart, axis=1).mean(), abs=1e-7)
    assert nearest_distance(torch.from_numpy(b), b) == pytest.approx(0, abs=1e-6)


@given(seed=st.integers(0, 1000), n=st.integers(1, 20), m=st.integers(3, 20))
def test_neighbours_are_the_nearest_in_their_order(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 2, 2)), rng.normal(size=(m, 2, 2))
    apart = np.array([[np.linalg.norm(x - y) for y in b] for x in a])
    found = nearest_neighbours(a, b, count=3)
    assert (found.indices == apart.argsort(axis=1)[:, :3]).all()
    assert found.distances == pytest.approx(np.sort(apart, axis=1)[:, :3], abs=1e-7)
    with pytest.raises(InvalidValueError, match="count"):
        nearest_neighbours(a, b, count=m + 1)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 3)), "must be"),
        (np.zeros((0, 2)), np.zeros((3, 2)), "must be"),
        (np.zeros(3), np.zeros(3), "must be"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "samples holds values that are not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, message):
    with pytest.raises(InvalidValueError, match=message):
        nearest_distance(a, b)
