"""A diagnosis is kept whole in a file, and a broken file is told in one sentence."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpdm.diagnosing import Diagnosis
from fpdm.diagnosing.pictures import draw
from fpdm.errors import InvalidValueError, StorageError
from tests.diagnosing.made import curve, diagnosis, finding

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(figures=st.lists(NUMBERS, min_size=1, max_size=4), spread=NUMBERS)
def test_what_is_written_is_read_whatever_the_figures(figures, spread):
    made = diagnosis(
        *(finding(i, effect=x, radius=x, distance=x) for i, x in enumerate(figures)), spread=spread
    )
    text = made.to_json()
    read = Diagnosis.from_json(text)
    assert read.to_json() == text
    json.loads(text, parse_constant=pytest.fail)  # as the standard has it, which knows no NaN
    for one, other in zip(made.findings, read.findings, strict=True):
        assert one.effect == other.effect or math.isnan(one.effect)


def test_a_file_is_read_as_it_was_written(tmp_path):
    made = diagnosis(finding(effect=math.inf), finding(1))
    made.write(tmp_path / "found.json")
    assert Diagnosis.read(tmp_path / "found.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"found\.json"):
        diagnosis(finding()).write(tmp_path / "none" / "found.json")


def test_one_that_holds_nothing_or_not_the_same_cannot_be_made():
    with pytest.raises(InvalidValueError, match="must be some"):
        diagnosis()
    with pytest.raises(InvalidValueError, match="of the same solvers"):
        diagnosis(finding(), finding(1, curves=(curve(),)))
    with pytest.raises(InvalidValueError, match="each of 8 evals"):
        diagnosis(finding(curves=(curve(evals=5),)))
    with pytest.raises(InvalidValueError, match="init='mine': were not looked at"):
        finding().curve("naive", "mine")


def changed(**values):
    return json.dumps(json.loads(diagnosis(finding()).to_json()) | values)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        "null",
        "[" * 100_000,
        changed(findings=[]),
        changed(findings=[3]),
        changed(budget="60"),
        changed(budget=True),
        changed(spread="much"),
        changed(spread=None),
        changed(guided=1),
        changed(more=1),
        changed(evals=0),
        changed(evals=3),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_diagnosis_is_refused_in_one_sentence(text, tmp_path):
    (tmp_path / "found.json").write_text(text)
    with pytest.raises(InvalidValueError, match=r"found\.json: ") as raised:
        Diagnosis.read(tmp_path / "found.json")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("none", "bytes", "."):
        with pytest.raises(InvalidValueError, match="cannot be read"):
            Diagnosis.read(tmp_path / name)


LOST = finding(
    1,
    radius=math.inf,
    norm=math.inf,
    effect=math.nan,
    distance=math.inf,
    curves=(curve(start=math.inf),),
)
DRAWN = {
    "one timestep": diagnosis(finding()),
    "several": diagnosis(*(finding(i) for i in range(4))),
    "nothing finite": diagnosis(LOST),
    "some": diagnosis(finding(curves=(curve(),)), LOST),
    "many solvers": diagnosis(finding(curves=tuple(curve(f"s{i}", "mine") for i in range(7)))),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_any_of_them_is_drawn(name, ending, tmp_path):
    draw(DRAWN[name], tmp_path / f"found.{ending}")
    assert (tmp_path / f"found.{ending}").stat().st_size > 5000
