"""The Fréchet distance against closed forms, and where naive code gives NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpdm.data import digits
from fpdm.errors import InvalidValueError
from fpdm.evaluation import DigitClassifier, FewSamplesWarning, frechet_distance
from fpdm.testing.strategies import seeds


def gaussian(seed: int, count: int, size: int, scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(count, size)) @ rng.normal(size=(size, size))


@given(seed=seeds, size=st.integers(1, 8), shift=st.floats(-100, 100))
def test_a_shift_is_its_square(seed, size, shift):
    a = gaussian(seed, 50, size)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + shift) == pytest.approx(size * shift**2, abs=1e-6, rel=1e-9)


@given(seed=seeds, scale=st.floats(0.01, 100))
def test_one_dimension_is_means_and_standard_deviations(seed, scale):
    a, b = gaussian(seed, 40, 1), gaussian(seed + 1, 30, 1, scale)
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=seeds, size=st.integers(2, 6))
def test_it_equals_the_trace_of_the_matrix_root(seed, size):
    a, b = gaussian(seed, 60, size), gaussian(seed + 1, 60, size)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    eigenvalues = np.linalg.eigvals(cov_a @ cov_b)  # of a product of two positive matrices: ≥ 0
    root = np.sqrt(eigenvalues.real.clip(min=0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-6, abs=1e-9)


@given(seed=seeds, scale=st.sampled_from([1e-12, 1.0, 1e12]), rank=st.integers(0, 3))
def test_singular_covariances_are_finite(seed, scale, rank):
    a, b = (scale * gaussian(s, 40, 5)[:, :] for s in (seed, seed + 1))
    a[:, rank:] = 0
    distance = frechet_distance(a, b)
    assert np.isfinite(distance)
    assert distance >= 0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_samples_warn_and_are_finite(count):
    a, b = gaussian(0, count, 5), gaussian(1, 100, 5)
    with pytest.warns(FewSamplesWarning, match=f"a has {count} samples for 5 features"):
        assert np.isfinite(frechet_distance(a, b))


def test_images_are_flattened():
    a, b = np.random.default_rng(0).normal(size=(2, 50, 1, 2, 3))
    assert frechet_distance(a, b) == frechet_distance(a.reshape(50, 6), b.reshape(50, 6))


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (np.zeros((0, 3)), "a has no samples"),
        (np.array([[1.0, np.nan, 2.0]]), "a holds values that are not finite"),
        (np.zeros((4, 2)), "a has 2 features and b has 3"),
        (np.float64(3), "a has no samples"),
    ],
)
def test_what_cannot_be_measured_is_refused(a, message):
    with pytest.raises(InvalidValueError, match=message):
        frechet_distance(a, np.zeros((9, 3)))


def test_the_digits_are_real_and_in_range():
    data = digits()
    assert data.images.shape == (1797, 1, 8, 8)
    assert (float(data.images.min()), float(data.images.max())) == (-1, 1)
    assert data.labels.unique().tolist() == list(range(10))


def test_the_classifier_reads_the_real_digits():
    data, classifier = digits(), DigitClassifier()
    assert classifier.accuracy(data.images, data.labels) > 0.99
    assert classifier.accuracy(data.images, (data.labels + 1) % 10) < 0.01
    features = classifier.features(data.images)
    assert features.shape == (1797, 64)
    assert features.min() == 0
    logits = features @ classifier._fitted.coefs_[2] + classifier._fitted.intercepts_[2]
    assert (logits.argmax(axis=1) == classifier.read(data.images)).all()


def test_halves_of_the_real_digits_are_close():
    pixels = digits().images.flatten(1).numpy()
    order = np.random.default_rng(0).permutation(len(pixels))
    assert frechet_distance(pixels[order[:898]], pixels[order[898:]]) == pytest.approx(
        0.34, abs=0.1
    )
