"""Laws of the distances: against sums that are written out, and over many draws."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpdm.errors import InvalidValueError
from fpdm.evaluation import (
    FewSamplesWarning,
    Gaussian,
    PrecisionRecall,
    bootstrap,
    frechet_at_infinity,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from fpdm.testing.strategies import seeds
from tests.evaluation.draws import gaussian, rotation

DISTANCES = {
    "frechet": frechet_distance,
    "kernel": kernel_distance,
    "infinity": frechet_at_infinity,
    "precision": lambda a, b: precision_recall(a, b).precision,
    "recall": lambda a, b: precision_recall(a, b).recall,
}


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return (x @ y / len(x) + 1) ** 3


@given(seed=seeds, n=st.integers(2, 12), m=st.integers(2, 12), size=st.integers(1, 5))
def test_the_kernel_distance_is_the_sums_of_the_paper(seed, n, m, size):
    a, b = gaussian(seed, n, size), gaussian(seed + 1, m, size, shift=0.5)
    expected = (
        np.mean([kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j])
        + np.mean([kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j])
        - 2 * np.mean([kernel(x, y) for x in a for y in b])
    )
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_blocks_of_the_kernel_do_not_show(monkeypatch):
    a, b = gaussian(0, 25, 3), gaussian(1, 30, 3)
    whole = kernel_distance(a, b)
    monkeypatch.setattr("fpdm.evaluation.kernel.ROWS", 7)
    assert kernel_distance(a, b) == pytest.approx(whole, rel=1e-10, abs=1e-12)


def test_the_kernel_distance_is_unbiased():
    found = [kernel_distance(gaussian(s, 12, 3), gaussian(10**6 + s, 9, 3)) for s in range(1500)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert min(found) < 0  # as what is unbiased must be


@given(seed=seeds, n=st.integers(4, 20), m=st.integers(4, 20), k=st.integers(1, 3))
def test_precision_and_recall_are_those_of_the_paper(seed, n, m, k):
    a, b = gaussian(seed, n, 2, shift=0.5), gaussian(seed + 1, m, 2)

    def share(points, centres):
        within = []
        for centre in centres:
            radius = sorted(np.linalg.norm(centres - centre, axis=1))[k]  # 0 is itself
            within.append(np.linalg.norm(points - centre, axis=1) <= radius)
        return np.any(within, axis=0).mean()

    assert precision_recall(a, b, neighbours=k) == PrecisionRecall(share(a, b), share(b, a))


@given(seed=seeds, n=st.integers(4, 30), twice=st.booleans(), scale=st.sampled_from([1e-6, 1, 1e6]))
def test_equal_sets_have_all_of_each_other(seed, n, twice, scale):
    a = scale * (gaussian(seed, n, 3) + 100)
    a = np.repeat(a, 5, axis=0) if twice else a  # whose neighbours are at a distance of 0
    assert tuple(precision_recall(a, a[::-1])) == (1, 1)


def test_what_is_there_twice_is_found_however_it_is_rounded(monkeypatch):
    """A ball of radius 0 holds its centre, though distances are off in their last bits."""
    monkeypatch.setattr("fpdm.evaluation.manifold.ROWS", 7)
    for seed, size in itertools.product(range(4), (513, 2048)):
        a = np.repeat(100 * gaussian(seed, 31, size), 5, axis=0)
        order = np.random.default_rng(seed + 1).permutation(len(a))
        assert tuple(precision_recall(a, a[order])) == (1, 1)
        assert precision_recall(a + 0.01, a).precision == 0


@given(seed=seeds, shift=st.floats(0, 5))
def test_shares_are_shares_and_change_places(seed, shift):
    a, b = gaussian(seed, 20, 3, shift=shift), gaussian(seed + 1, 15, 3)
    one, other = precision_recall(a, b), precision_recall(b, a)
    assert 0 <= one.precision <= 1
    assert 0 <= one.recall <= 1
    assert (one.precision, one.recall) == (other.recall, other.precision)


def test_blocks_of_neighbours_do_not_show(monkeypatch):
    a, b = gaussian(0, 25, 3), gaussian(1, 30, 3, shift=0.5)
    whole = precision_recall(a, b)
    assert 0 < whole.recall < 1
    monkeypatch.setattr("fpdm.evaluation.manifold.ROWS", 7)
    assert precision_recall(a, b) == whole


@pytest.mark.parametrize("name", ["frechet", "kernel"])
@given(seed=seeds, size=st.integers(1, 6))
def test_distances_are_symmetric(name, seed, size):
    a, b = gaussian(seed, 40, size, shift=0.3), gaussian(seed + 1, 50, size)
    forth, back = DISTANCES[name](a, b), DISTANCES[name](b, a)
    assert forth == pytest.approx(back, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", DISTANCES)
@given(seed=seeds, size=st.integers(2, 6))
def test_what_is_turned_is_as_far_apart(name, seed, size):
    a, b = gaussian(seed, 60, size, shift=0.3), gaussian(seed + 1, 50, size)
    turned = rotation(seed, size)
    found = DISTANCES[name](a @ turned, b @ turned)
    assert found == pytest.approx(DISTANCES[name](a, b), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", ["frechet", "kernel", "precision", "recall"])
@given(seed=seeds)
def test_the_order_of_samples_is_nothing(name, seed):
    a, b = gaussian(seed, 40, 3, shift=0.3), gaussian(seed + 1, 50, 3)
    order = np.random.default_rng(seed).permutation(40)
    assert DISTANCES[name](a[order], b) == pytest.approx(DISTANCES[name](a, b), abs=1e-10)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_whatever_the_precision_it_is_computed_in_float64(name, dtype):
    a, b = (torch.from_numpy(gaussian(s, 40, 3)).mul(40).to(dtype) for s in (0, 1))
    assert DISTANCES[name](a, b) == DISTANCES[name](a.double().numpy(), b.double().numpy())


@pytest.mark.parametrize("name", DISTANCES)
def test_images_are_flattened(name):
    a, b = gaussian(0, 40, 12), gaussian(1, 40, 12)
    images = a.reshape(40, 3, 2, 2)
    assert DISTANCES[name](images, b.reshape(40, 3, 2, 2)) == DISTANCES[name](a, b)


@pytest.mark.parametrize(("count", "size", "shift"), [(150, 16, 0.0), (400, 32, 0.1)])
def test_at_infinity_is_nearer_to_the_truth(count, size, shift):
    truth = Gaussian(np.zeros(size), np.eye(size))
    expected = size * shift**2
    sets = [gaussian(seed, count, size, shift=shift) for seed in range(12)]
    plain = np.array([frechet_distance(a, truth) for a in sets]) - expected
    at_infinity = np.array([frechet_at_infinity(a, truth) for a in sets]) - expected
    assert np.sqrt((at_infinity**2).mean()) < 0.35 * np.sqrt((plain**2).mean())
    assert abs(at_infinity.mean()) < 0.15 * plain.mean()


def test_at_infinity_of_near_sets_may_be_below_0():
    truth = Gaussian(np.zeros(4), np.eye(4))
    found = [frechet_at_infinity(gaussian(seed, 60, 4), truth) for seed in range(20)]
    assert min(found) < 0 < max(found)


def test_at_infinity_every_sample_of_every_size_is_taken_once(monkeypatch):
    taken = []
    monkeypatch.setattr(
        "fpdm.evaluation.infinity.fitted", lambda part: taken.append(part) or part.sum()
    )
    monkeypatch.setattr("fpdm.evaluation.infinity.between", lambda part, _: float(part))
    frechet_at_infinity(np.arange(24.0)[:, None], np.zeros((9, 1)), parts=3)
    assert [len(part) for part in taken] == [24, 12, 12, 8, 8, 8]
    for group in (taken[:1], taken[1:3], taken[3:]):
        assert sorted(np.concatenate(group).ravel()) == list(range(24))


def test_few_samples_at_infinity_are_a_warning():
    with pytest.warns(FewSamplesWarning, match="a has 10 samples for 5 features: a line over 1/n"):
        found = frechet_at_infinity(gaussian(0, 10, 5), gaussian(1, 100, 5))
    assert np.isfinite(found)


def test_an_interval_holds_what_other_samples_give():
    """Of 95 %, in 40 of 40 at best; a share below 33 would come about once in 10 000 times."""
    truth = Gaussian(np.zeros(30), np.eye(30))
    others = [frechet_distance(gaussian(s, 120, 30, shift=0.3), truth) for s in range(1000, 1200)]
    found = [
        bootstrap(frechet_distance, gaussian(seed, 120, 30, shift=0.3), truth, repeats=60)
        for seed in range(40)
    ]
    assert sum(each.low <= np.mean(others) <= each.high for each in found) >= 33
    width = np.mean([each.high - each.low for each in found])
    assert 0.9 < width / (2 * 1.96 * np.std(others)) < 1.6  # of four samples for each feature


@pytest.mark.parametrize("name", ["frechet", "kernel"])
def test_an_interval_lies_about_its_distance(name):
    a, b = gaussian(0, 60, 4, shift=0.2), gaussian(1, 90, 4)
    found = bootstrap(DISTANCES[name], a, b, repeats=30)
    assert found.low < DISTANCES[name](a, b) < found.high
    assert found == bootstrap(DISTANCES[name], a, b, repeats=30)
    assert found != bootstrap(DISTANCES[name], a, b, repeats=30, seed=1)
    narrow = bootstrap(DISTANCES[name], a, b, repeats=30, level=0.5)
    assert found.low < narrow.low < narrow.high < found.high


def test_an_interval_says_nothing_twice_of_few_samples():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target = Gaussian(np.zeros(5), np.eye(5))
        bootstrap(frechet_distance, gaussian(0, 4, 5), target, repeats=2)


def test_a_gaussian_stands_for_its_samples():
    a, b = gaussian(0, 40, 4), gaussian(1, 50, 4, shift=1)
    known = Gaussian(b.mean(0), np.cov(b.T))
    assert frechet_distance(a, known) == pytest.approx(frechet_distance(a, b), rel=1e-10)
    assert frechet_distance(Gaussian.of(a), known) == pytest.approx(frechet_distance(a, b))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_distance(np.zeros((1, 2)), np.zeros((3, 2))), "a has one sample: at least"),
        (lambda: kernel_distance(np.zeros((3, 2)), np.zeros((3, 4))), "a has 2 features and b has"),
        (lambda: kernel_distance(np.zeros((3, 2)), np.full((3, 2), np.nan)), "b holds values"),
        (
            lambda: precision_recall(np.zeros((3, 2)), np.zeros((9, 2))),
            "a has 3 samples: at least 4",
        ),
        (
            lambda: precision_recall(np.zeros((3, 2)), np.zeros((9, 2)), neighbours=0),
            "neighbours=0",
        ),
        (lambda: frechet_at_infinity(np.zeros((1, 2)), np.zeros((9, 2))), "at least 2 are needed"),
        (lambda: frechet_at_infinity(np.zeros((9, 2)), np.zeros((9, 2)), parts=1), "parts=1"),
        (lambda: frechet_distance(np.zeros((9, 2)), Gaussian([0.0], [[1.0]])), "and b has 1"),
        (lambda: bootstrap(frechet_distance, np.zeros((9, 2)), None, repeats=1), "repeats=1"),
        (lambda: bootstrap(frechet_distance, np.zeros((9, 2)), None, level=1.0), "level=1.0"),
        (lambda: Gaussian(np.zeros(2), np.zeros((3, 3))), "must be (d,) and (d, d)"),
        (lambda: Gaussian(np.zeros(2), [[1, np.nan], [0, 1]]), "must be finite"),
        (lambda: Gaussian(np.zeros(2), [[1, 0.5], [0, 1]]), "not symmetric"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(InvalidValueError) as refused:
        call()
    assert message in str(refused.value)
