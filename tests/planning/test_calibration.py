"""A calibration holds numbers that can be trusted, and what lies between them is sensible."""

import json
import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fpdm.calibration import Calibration, Sensitivity, Tried, Way
from fpdm.errors import InvalidValueError, StorageError
from fpdm.solution import Moment
from fpdm.testing.calibrations import calibration_for
from fpdm.testing.strategies import SORTS, moments

ERRORS = st.floats(1e-9, 1e3)


@st.composite
def tried(draw) -> Tried:
    budgets = sorted(draw(st.sets(st.integers(1, 10**6), min_size=1, max_size=6)))
    return Tried(Way(), tuple(budgets), tuple(draw(ERRORS) for _ in budgets))


@given(steps=st.integers(1, 40), sort=st.sampled_from(SORTS), seed=st.integers(0, 99))
def test_what_is_written_is_read(tmp_path_factory, steps, sort, seed):
    calibration = calibration_for(moments(steps, sort), seed=seed)
    folder = tmp_path_factory.mktemp("model")
    assert calibration.write(folder) == folder / "calibration.json"
    assert Calibration.read(folder) == calibration
    assert Calibration.read(folder / "calibration.json") == calibration


def test_components_with_options_are_written_and_read(tmp_path):
    way = Way(3, "ddim", 1.5, {"name": "anderson", "memory": 3}, "reuse", {"name": "adaptive"})
    calibration = evolve(calibration_for(moments(3)), tried=(Tried(way, (12,), (0.5,)),))
    assert Calibration.read(calibration.write(tmp_path / "x.json")) == calibration


@given(tried(), st.integers(1, 10**9))
def test_between_budgets_the_error_lies_between_those_that_were_measured(found, budget):
    error = found.error(budget)
    assert math.isfinite(error)
    assert error >= 0
    inside = [i for i, each in enumerate(found.budgets) if each <= budget]
    if budget in found.budgets:
        assert error == pytest.approx(found.errors[found.budgets.index(budget)])
    elif len(inside) == len(found.budgets):
        assert error == found.errors[-1]
    elif inside:
        near = found.errors[inside[-1] : inside[-1] + 2]
        assert min(near) * (1 - 1e-9) <= error <= max(near) * (1 + 1e-9)
    elif len(found.budgets) > 1:
        assert error >= found.errors[0] * (1 - 1e-9)


WRONG = [
    (lambda d: d["tried"][0]["errors"].__setitem__(0, math.nan), "errors=nan"),
    (lambda d: d["tried"][0]["errors"].__setitem__(0, math.inf), "errors=inf"),
    (lambda d: d["tried"][0]["errors"].__setitem__(0, -1), "errors=-1"),
    (lambda d: d["tried"][0]["errors"].__setitem__(0, "many"), "errors='many'"),
    (lambda d: d["tried"][0]["errors"].pop(), "must have 2"),
    (lambda d: d["tried"][0].__setitem__("budgets", [120, 24]), "must rise"),
    (lambda d: d["tried"][0].__setitem__("budgets", [24.5, 120]), "budgets=24.5"),
    (lambda d: d["tried"][0]["way"].__setitem__("iterations", 0), "iterations=0"),
    (lambda d: d["tried"][0].__setitem__("other", 0), "other"),
    (lambda d: d.__setitem__("tried", []), "one way at least"),
    (lambda d: d.pop("tried"), "tried"),
    (lambda d: d.__setitem__("version", 99), "version=99"),
    (lambda d: d.__setitem__("samples", 0), "samples=0"),
    (lambda d: d.__setitem__("seed", "x"), "seed='x'"),
    (lambda d: d.__setitem__("sketch", None), "sketch"),
    (lambda d: d.__setitem__("sketch", ["x"]), "sketch='x'"),
    (lambda d: d.__setitem__("configuration", 5), "configuration"),
    (lambda d: d["sensitivities"][0]["errors"][1].__setitem__(0, math.nan), "errors=nan"),
    (lambda d: d["sensitivities"][0]["errors"].pop(), "rows"),
    (lambda d: d["sensitivities"][0].__setitem__("counts", [2, 3, 4, 5]), "must begin with 1"),
    (lambda d: d["sensitivities"][0]["timesteps"].__setitem__(0, -3), "timesteps=-3"),
    (lambda d: d["sensitivities"][0]["timesteps"].reverse(), "never rise"),
    (lambda d: d["sensitivities"][0].__setitem__("usual", 4), "usual=4"),
]


@pytest.mark.parametrize(("spoil", "sentence"), WRONG)
def test_a_file_with_a_wrong_value_is_refused_in_one_sentence_that_names_it(
    tmp_path, spoil, sentence
):
    path = calibration_for(moments(5)).write(tmp_path)
    plain = json.loads(path.read_text())
    spoil(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(InvalidValueError, match="is no calibration") as error:
        Calibration.read(path)
    assert sentence in str(error.value)
    assert "fpdm calibrate" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"tried": 3}', "[" * 10_000, "\x00"])
def test_what_is_no_calibration_is_refused(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(InvalidValueError, match="is no calibration"):
        Calibration.read(path)
    path.unlink()
    with pytest.raises(InvalidValueError, match="There is no calibration at"):
        Calibration.read(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        calibration_for(moments(2)).write(tmp_path / "file" / "calibration.json")


@given(steps=st.integers(1, 80), seed=st.integers(0, 99))
def test_changes_are_those_that_were_measured_where_the_run_is_as_long(steps, seed):
    sensitivity = calibration_for(moments(9), seed=seed).sensitivities[0]
    changes = sensitivity.changes(steps)
    assert len(changes) == steps
    usual = sensitivity.counts.index(sensitivity.usual)
    assert all(each[usual] == 0 for each in changes)
    if steps == 9:
        for row, errors in zip(changes, sensitivity.errors, strict=True):
            assert row == pytest.approx([error - errors[usual] for error in errors])


def run_of(timesteps) -> tuple[Moment, ...]:
    return tuple(Moment(i, len(timesteps), float(t)) for i, t in enumerate(timesteps))


def test_a_run_whose_timesteps_lie_elsewhere_is_refused():
    even = [990.0 - 110 * i for i in range(10)]
    calibration = calibration_for(run_of(even))
    assert calibration.sensitivity(run_of([990, 660, 330, 0]))
    assert calibration.sensitivity(run_of([999 - 10 * i for i in range(100)]))
    assert calibration.sensitivity(run_of([700.0]))  # one alone lies nowhere else
    quadratic = [990 * (1 - i / 9) ** 2 for i in range(10)]
    with pytest.raises(InvalidValueError, match=r"lie elsewhere: up to 2\d\d from those"):
        calibration.sensitivity(run_of(quadratic))
    with pytest.raises(InvalidValueError, match="nothing of single timesteps"):
        evolve(calibration, sensitivities=()).sensitivity(run_of(even))


def test_the_run_that_is_about_as_long_is_taken():
    near = [calibration_for(moments(steps)).sensitivities[0] for steps in (5, 50)]
    calibration = evolve(calibration_for(moments(5)), sensitivities=tuple(near))
    assert len(calibration.sensitivity(moments(7, "unknown")).timesteps) == 5
    assert len(calibration.sensitivity(moments(40, "unknown")).timesteps) == 50


def test_a_sensitivity_needs_two_timesteps():
    with pytest.raises(InvalidValueError, match="two or more"):
        Sensitivity((999.0,), 1, (1,), ((0.5,),))
