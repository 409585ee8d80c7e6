"""A class is asked for by its name, whatever is in it, or else by its number."""

import unicodedata
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpdm.diffusion.labels import Classes
from fpdm.errors import InvalidValueError, UnknownNameError

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)


def classes(*names: str) -> Classes:
    return Classes(len(names), len(names), dict(enumerate(names)))


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_every_class_is_found_by_its_whole_name(names):
    of = classes(*names)
    assert [of.find(name) for name in names] == list(range(len(names)))
    assert of.numbers(names) == list(range(len(names)))
    assert [of.read(name) for name in names] == list(range(len(names)))


ODD = ("cat, dog", " blank ", "a  b", "it's", '"quoted"', "#3", "-1", "é", "[1, 2]", "null", "x=y")


def test_commas_blanks_quotes_and_signs_belong_to_a_name():
    of = classes(*ODD)
    assert [of.read(name) for name in ODD] == list(range(len(ODD)))
    assert of.read("dog") == 0  # one of those that commas set apart


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("kept", ["NFC", "NFD"])
def test_accents_are_the_same_in_either_form(form, kept):
    of = classes("a", unicodedata.normalize(kept, "éclair, crème"))
    for name in ("éclair, crème", "crème"):
        assert of.read(unicodedata.normalize(form, name)) == 1


def test_classes_that_differ_by_it_are_told_apart():
    both = [unicodedata.normalize(form, "é") for form in ("NFD", "NFC")]
    of = classes(*both)
    assert [of.read(name) for name in both] == [0, 1]


def test_a_whole_name_goes_before_one_of_several():
    assert classes("cat, kitten", "kitten").read("kitten") == 1
    with pytest.raises(InvalidValueError, match=r"'crane' is the name of \[0, 1\]; use a number"):
        classes("crane", "crane").read("crane")


def test_a_name_that_is_a_number_goes_before_the_number_and_says_so():
    names = ("1", "2", "8", "10")
    of = classes(*names)
    asked = ("10", "1", "#1", "0", "3", "#3", "8")
    assert [of.read(text) for text in asked] == [3, 0, 1, 0, 3, 3, 2]
    assert of.tell([3, 0]) == ["class 3 is called '10'", "class 0 is called '1'"]
    assert classes("0", "1", "x").tell([0, 1, 2]) == []
    with pytest.raises(InvalidValueError, match=r"\[7\] out of range"):
        of.read("7")


def test_a_number_that_is_the_name_of_another_class_is_said_once():
    of = classes("1", "0")
    with pytest.warns(UserWarning, match="class 1 is called '0', and the class that is called '1'"):
        assert of.numbers([1]) == [1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert of.numbers([1, 0]) == [1, 0]
        assert classes("0", "1", "x").numbers([0, 1, 2, 3]) == [0, 1, 2, 3]


def test_a_name_that_no_class_has_is_refused():
    for text in ("cot", "1.5", "#x", "#"):
        with pytest.raises(UnknownNameError, match=f"No class is named '{text}'"):
            classes("cat", "dog").read(text)
    with pytest.raises(UnknownNameError) as caught:
        classes("cat, kitten", "new\nline", " x").read("dog")
    assert str(caught.value).endswith(r": ' x', cat, 'cat, kitten', kitten, 'new\nline', x.")


@pytest.mark.parametrize("name", ["cat, dog", "-1", " x", "it's", "10", "é"])
def test_the_command_draws_the_class_that_is_named(name, tmp_path, capsys):
    from tests.commands import run
    from tests.sampling.pipelines import pipeline

    pipeline(id2label={0: "a", 1: "b", 2: name}).save_pretrained(tmp_path / "model")
    asked = [f"--classes={name}"] if name.startswith("-") else ["--classes", name]
    common = ["sample", "--model", tmp_path / "model", "--budget", "12", "--steps", "3", "--out"]
    code, _, error = run(capsys, *common, tmp_path / "named.png", *asked)
    assert code == 0, error
    assert ("class 2 is called '10'" in error) == (name == "10")
    assert run(capsys, *common, tmp_path / "numbered.png", "--classes", "#2")[0] == 0
    assert (tmp_path / "named.png").read_bytes() == (tmp_path / "numbered.png").read_bytes()
