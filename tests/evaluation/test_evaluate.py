"""Everything at once: `evaluate`, and the spread over several sets of samples."""

import json
import math

import numpy as np
import pytest
import torch

import fpdm
from fpdm.data import Tensors
from fpdm.errors import InvalidValueError
from fpdm.evaluation import (
    Evaluation,
    FewSamplesWarning,
    Gaussian,
    Interval,
    Settings,
    Spread,
    bootstrap,
    evaluate,
    frechet_at_infinity,
    frechet_distance,
    kernel_distance,
    precision_recall,
    spread,
)
from fpdm.evaluation.features import Extracted
from fpdm.evaluation.judging import measuring, stages
from tests.evaluation.draws import gaussian


class Signs:
    """Reads as its class whether the first number is above 0."""

    name = "signs"

    def __call__(self, images):
        return images.double().numpy()[:, :2]

    def accuracy(self, images, labels):
        return float(((images[:, 0] > 0).long() == labels).double().mean())


def test_all_figures_are_those_of_the_functions():
    a, b = gaussian(0, 60, 3, shift=0.2), gaussian(1, 70, 3)
    found = evaluate(a, b, repeats=5, seed=4)
    a, b = a.astype(np.float32), b.astype(np.float32)  # as data sets hold them
    assert found.frechet == pytest.approx(frechet_distance(a, b))
    assert found.frechet_at_infinity == pytest.approx(frechet_at_infinity(a, b, seed=4))
    assert found.kernel == pytest.approx(kernel_distance(a, b))
    assert (found.precision, found.recall) == tuple(precision_recall(a, b))
    assert found.accuracy is None
    assert found.intervals["frechet"].low == pytest.approx(
        bootstrap(frechet_distance, a, b, repeats=5, seed=4).low
    )
    assert set(found.intervals) == {"frechet", "kernel"}
    assert (found.samples, found.reference, found.dimensions) == (60, 70, 3)
    assert evaluate(a, b, repeats=0).intervals == {}


@pytest.mark.parametrize("repeats", [0, 5])
def test_it_says_how_far_it_is(repeats):
    a, b = Extracted(gaussian(0, 60, 3)), Extracted(gaussian(1, 70, 3))
    settings = Settings(repeats=repeats)
    for reference in (b, Gaussian.of(b.rows)):
        found = list(measuring(a, reference, features="rows", settings=settings))
        assert len(found) == stages(reference, settings)
        assert set(found[-1].intervals) == ({"frechet", "kernel"} if repeats else set()) - (
            {"kernel"} if reference is not b else set()
        )


def test_it_can_be_written_as_json():
    found = evaluate(gaussian(0, 60, 3), gaussian(1, 70, 3), repeats=5, seed=4)
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["frechet"] == found.frechet
    assert written["intervals"]["kernel"] == [
        found.intervals["kernel"].low,
        found.intervals["kernel"].high,
    ]
    assert written["settings"] == {"neighbours": 3, "repeats": 5, "level": 0.95, "seed": 4}
    assert written["features"] == "pixels"
    assert (written["samples"], written["reference"], written["dimensions"]) == (60, 70, 3)
    assert written["version"] == fpdm.__version__


def test_classes_are_judged_where_there_are_any():
    a = gaussian(0, 60, 3)
    labels = (a[:, 0] > 0).astype(int)
    labels[:15] = 1 - labels[:15]
    for samples, told in ((a, labels), (Tensors(torch.from_numpy(a), labels), None)):
        found = evaluate(samples, a, features=Signs(), labels=told, repeats=0, batch_size=7)
        assert found.accuracy == pytest.approx(0.75)
        assert (found.dimensions, found.features) == (2, "signs")
    assert evaluate(a, a, features=Signs(), repeats=0).accuracy is None


def test_grey_images_are_compared_with_images_in_colours():
    rng = np.random.default_rng(0)
    grey, colours = rng.uniform(-1, 1, (80, 1, 3, 3)), rng.uniform(-1, 1, (80, 3, 3, 3))
    expected = frechet_distance(np.repeat(grey, 3, axis=1).astype(np.float32), colours)
    assert evaluate(grey, colours, repeats=0).frechet == pytest.approx(expected, rel=1e-5)
    assert evaluate(colours, grey, repeats=0).frechet == pytest.approx(expected, rel=1e-5)


def test_against_statistics_there_are_frechet_distances_alone():
    a, b = gaussian(0, 60, 3), gaussian(1, 70, 3)
    found = evaluate(a, Gaussian(b.mean(0), np.cov(b.T)), repeats=4)
    assert found.frechet == pytest.approx(frechet_distance(a, b), rel=1e-5)
    assert (found.kernel, found.precision, found.recall, found.reference) == (None,) * 4
    assert set(found.intervals) == {"frechet"}


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_few_samples_are_measured(count):
    found = evaluate(gaussian(0, count, 9), gaussian(1, 5, 9), repeats=3)
    assert all(math.isfinite(getattr(found, name)) for name in ("frechet", "kernel"))
    assert math.isfinite(found.frechet_at_infinity)
    assert (found.precision is None) == (count <= 3)


def test_few_samples_are_told():
    with pytest.warns(FewSamplesWarning) as told:
        evaluate(gaussian(0, 3, 9), gaussian(1, 50, 9), repeats=3)
    said = [str(each.message) for each in told]
    assert any("the set of samples has 3 samples for 9 features" in each for each in said)
    assert any("a line over 1/n" in each for each in said)
    assert any("3 samples have no 3 neighbours each" in each for each in said)
    assert len(said) == 3


def test_samples_without_spread_are_measured():
    with pytest.warns(FewSamplesWarning):
        found = evaluate(np.zeros((5, 9)), np.zeros((9, 9)), repeats=3)
    assert (found.frechet, found.frechet_at_infinity, found.kernel) == (0, 0, 0)
    assert (found.precision, found.recall) == (1, 1)


@pytest.mark.parametrize(
    ("samples", "reference", "options", "message"),
    [
        (np.zeros((1, 2)), np.zeros((9, 2)), {}, "The set of samples holds 1: at least 2"),
        (np.zeros((9, 2)), np.zeros((1, 2)), {}, "The reference holds 1: at least 2"),
        (np.zeros((9, 2)), np.zeros((9, 3)), {}, "The samples are 2, and the reference 3"),
        (np.zeros((9, 1, 8, 8)), np.zeros((9, 1, 9, 9)), {}, "1 × 8 × 8, and the reference 1 × 9"),
        (np.zeros((9, 2)), Gaussian([0], [[1]]), {}, "pixels are 2 of each sample, and the refer"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), {}, "samples: samples hold NaN or inf"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), {}, "reference: samples hold NaN or inf"),
        ("folder", np.zeros((9, 2)), {}, "samples: str; must be an array"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"labels": [0, 1]}, "2 labels for 9 samples"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"labels": [0.5] * 9}, "must be int64"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"repeats": 1}, "repeats=1"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"repeats": -1}, "repeats=-1"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"neighbours": 0}, "neighbours=0"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"level": 2.0}, "level=2.0"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"seed": -1}, "seed=-1"),
    ],
)
def test_what_cannot_be_compared_is_refused(samples, reference, options, message):
    with pytest.raises(InvalidValueError) as refused:
        evaluate(samples, reference, **options)
    assert message in str(refused.value)


def evaluation(frechet: float, **options) -> Evaluation:
    told = {"features": "pixels", "dimensions": 3, "samples": 10, "reference": 20, **options}
    return Evaluation(frechet=frechet, frechet_at_infinity=0.0, **told)


def test_a_spread_is_the_mean_and_deviation_of_each_figure():
    sets = [evaluation(1.0, recall=0.5), evaluation(2.0, recall=0.7), evaluation(6.0, recall=0.6)]
    found = spread(sets)
    assert found["frechet"] == Spread(3.0, pytest.approx(math.sqrt(7)))
    assert found["recall"].mean == pytest.approx(0.6)
    assert set(found) == {"frechet", "frechet_at_infinity", "recall"}
    assert set(spread([evaluation(1.0), evaluation(2.0, recall=0.5)])) == {
        "frechet",
        "frechet_at_infinity",
    }
    for few in (sets[:1], []):
        with pytest.raises(InvalidValueError, match="a spread is of two or more"):
            spread(few)
    with pytest.raises(InvalidValueError, match="of different features"):
        spread([*sets, evaluation(1.0, features="classifier")])


def test_values_are_values():
    assert Interval(1, 2) == Interval(1, 2)
    assert evaluation(1.0) == evaluation(1.0, settings=Settings())
