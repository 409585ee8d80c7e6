"""How a component is written on the command line, and that it is read as it was meant."""

import string
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fpdm
from fpdm.cli.components import component
from fpdm.cli.notation import PYTHON
from fpdm.cli.options import literal
from fpdm.errors import InvalidValueError

PRINTABLE = st.characters(codec="utf-8").filter(str.isprintable)
MARKS = st.sampled_from(" '\"\\,:=[](){}#!$&;|<>*?~`")
TEXTS = st.text(PRINTABLE | MARKS | st.sampled_from(string.ascii_letters), max_size=12)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["true", "FALSE", "None", "1", "[1, 2", "a, b", "it's", '"', "\\", "'''"])
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(ATOMS, inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=6)
ANYTHING = st.text(MARKS | st.sampled_from("abB1\n\0é"), max_size=20)


def read(text: str) -> dict[str, object]:
    """The options that a host would be asked for."""
    with pytest.MonkeyPatch.context() as patch:
        host = SimpleNamespace(create=lambda _, name, /, **options: {name: options})
        patch.setattr(fpdm.plugins, "host", lambda: host)
        (options,) = component("allocation", text).values()
    return options


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_options_of_every_sort_are_read_as_python_writes_them(options):
    text = ",".join(f"{name}={value!r}" for name, value in options.items())
    assert repr(read(f"mine:{text}")) == repr(options)


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_options_are_read_as_they_are_shown(options):
    assume(all(len(repr(value)) <= 150 for value in options.values()))
    written = {name: PYTHON.exact(value) for name, value in options.items()}
    assert written == {name: literal(value) for name, value in options.items()}
    text = ",".join(f"{name}={value}" for name, value in written.items())
    assert repr(read(f"mine:{text}")) == repr(options)
    assert all(map(str.isprintable, text))


@given(st.text(max_size=12), st.text(max_size=12))
def test_a_text_of_any_letters_is_shown_in_letters_that_can_be_printed(one, other):
    written = [PYTHON.exact(value) for value in (one, [other])]
    assert all(text is not None and text.isprintable() for text in written)
    assert read(f"mine:a={written[0]},b={written[1]}") == {"a": one, "b": [other]}


@given(ANYTHING)
def test_whatever_is_written_is_read_or_refused(tail):
    with suppress(InvalidValueError):
        assert read(f"mine:{tail}")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("profile=[1, 2, 3]", {"profile": [1, 2, 3]}),
        ("profile=[1,2,3],memory=2", {"profile": [1, 2, 3], "memory": 2}),
        ("profile = [ 1 , [2, 3] ] , memory = 2", {"profile": [1, [2, 3]], "memory": 2}),
        (
            "pair=(1, 2),table={'a': [1, 2], 'b': ()}",
            {"pair": (1, 2), "table": {"a": [1, 2], "b": ()}},
        ),
        ('text="a, b",other=\'c, "d" [\'', {"text": "a, b", "other": 'c, "d" ['}),
        (r'text="a \" , b"', {"text": 'a " , b'}),
        ("text=b'a,b'", {"text": b"a,b"}),
        (
            "word=a word,other=don't, more=it's",
            {"word": "a word", "other": "don't", "more": "it's"},
        ),
        ("formula=a=b", {"formula": "a=b"}),
        ("path=c:/d", {"path": "c:/d"}),
        (
            "a=TRUE,b=false,c='true',d=[True],e=[true]",
            {"a": True, "b": False, "c": "true", "d": [True], "e": "[true]"},
        ),
        ("none=None,minus=-1,small=1e-4", {"none": None, "minus": -1, "small": 1e-4}),
        ("odd={[1]: 2}", {"odd": "{[1]: 2}"}),
        ("empty=,other=''", {"empty": "", "other": ""}),
        (f"deep={'[' * 5000}{']' * 5000}", {"deep": "[" * 5000 + "]" * 5000}),
    ],
)
def test_an_option_may_be_of_every_sort(text, options):
    assert repr(read(f"mine:{text}")) == repr(options)


@pytest.mark.parametrize(
    "text",
    [
        "profile=[1, 2",
        "profile=1, 2]",
        "profile=[1, 2)",
        "profile=([1, 2)]",
        'text="a, b',
        "text='a",
        "text=a'",
        'profile=["a, 2]',
        "profile=[1, 2,memory=3",
    ],
)
def test_brackets_and_quotes_that_are_not_closed_are_refused(text):
    with pytest.raises(InvalidValueError) as refused:
        component("allocation", f"mine:{text}")
    assert str(refused.value) == (
        f"--allocation mine:{text}: brackets and quotes must come in pairs, as in "
        f"--allocation 'mine:option=[1, 2],option=\"a, b\"'."
    )


class Exits:
    def __repr__(self):
        raise SystemExit(3)


class Lies:
    def __repr__(self):
        return "3"


class Name(str):
    """Not the text that it is printed as."""


@pytest.mark.parametrize(
    "value",
    [Exits(), Lies(), [Lies()], Name("a"), float("inf"), [float("nan")], object, "a" * 300],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_written_is_known(value):
    assert PYTHON.exact(value) is None
    assert literal(value)
