"""What `fpdm plugins show` says of the use can be pasted: into a shell, and into Python."""

import ast
import shlex
import subprocess
from types import SimpleNamespace

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
import fpdm.cli.plugins
from fpdm import AllocationPolicy, GradientEstimator
from fpdm.cli.components import component
from fpdm.cli.documentation import usage
from fpdm.cli.options import options
from fpdm.plugins import Origin, PluginHost, lookup, resolve
from fpdm.training.reading import override
from tests.commands import run

INTERFACES = {"allocation": AllocationPolicy, "gradient": GradientEstimator}
NASTY = [
    "it's",
    'say "it\'s"',
    "$HOME `id` $(id) \\ ! # ~ * ? & | ; < >",
    "[1, 2], {a: b}=c",
    "true",
    "None",
    "3",
    "",
    " ",
    "tab\there, line\nthere, bell\a, \x7f, \x9b31m, \u202e, \u2028, \U0001f600, é",
    "-rf",
    " ".join(["long", *["words"] * 30]),
    [1, 2.5, -1e-300, True],
    ["it's", 'a "b"', ["$x"]],
    {"a key": {"b.c": [1]}, "d": "it's"},
    False,
]
PYTHON_ALONE = [None, (1, ("it's", None)), [None], {1: "a"}, {"a": (1,)}, b"it's", {1}, "\ud800"]
NOWHERE = [float("inf"), [float("nan")], object, "a" * 300, list(range(300))]
SHAPES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(NASTY[:11]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=3,
)


def make(kind: str, **defaults: object) -> type:
    """A component with these options."""
    methods = {"allocation": "iterations", "gradient": "solve"}
    return attrs.make_class(
        "Mine",
        {name: attrs.field(factory=lambda value=value: value) for name, value in defaults.items()},
        bases=(INTERFACES[kind],),
        class_body={"name": "mine", methods[kind]: None},
        frozen=True,
    )


def install(patch: pytest.MonkeyPatch, kind: str, cls: type) -> PluginHost:
    """A host with this component alone, in place of the one of the installed plugins."""
    fresh = PluginHost([])
    hook = SimpleNamespace(**{f"fpdm_register_{kind}s": fpdm.hookimpl(lambda: [cls])})
    fresh.register(hook, Origin("mine"))
    assert not fresh.failures
    patch.setattr(lookup._installed, "_host", fresh)
    patch.setattr(fpdm.cli.plugins, "host", lambda: fresh)
    return fresh


def shell(command: str) -> list[str]:
    """The words of a command, as a shell hands them to the program."""
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, check=True, text=True
    )
    return done.stdout.splitlines()


def made_by(kind: str, words: list[str]) -> object:
    """The component that a command uses."""
    if kind == "gradient":
        assert words[:3] == ["fpdm", "train", "--set"]
        return resolve(kind, override({}, words[3:])["model"]["gradient"])
    assert words[:3] == ["fpdm", "sample", f"--{kind}"]
    return component(kind, *words[3:])


def shown(printed: str) -> dict[str, str]:
    """What stands after the words command and Python."""
    lines = (line.split(maxsplit=1) for line in printed.splitlines() if line.strip())
    return {words[0]: words[1] for words in lines if words[0] in ("command", "Python")}


def check(kind: str, cls: type, written: dict[str, str]) -> None:
    words = shlex.split(written["command"])
    assert shell(written["command"]) == words
    assert made_by(kind, words) == cls()
    ast.parse(written["Python"], mode="eval")
    assert eval(written["Python"], {"fpdm": fpdm}) == cls()


@pytest.mark.parametrize("columns", ["40", "80", None])
@pytest.mark.parametrize("kind", INTERFACES)
@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_a_line_that_is_shown_can_be_pasted(value, kind, columns, monkeypatch, capsys):
    cls = make(kind, option=value)
    install(monkeypatch, kind, cls)
    if columns:
        for name, set_ in (("TTY_COMPATIBLE", "1"), ("NO_COLOR", "1"), ("COLUMNS", columns)):
            monkeypatch.setenv(name, set_)
    written = shown(run(capsys, "plugins", "show", "mine")[1])
    assert all("option" in line for line in written.values())
    assert all(map(str.isprintable, written.values()))
    check(kind, cls, written)


@pytest.mark.parametrize("kind", INTERFACES)
@pytest.mark.parametrize("value", PYTHON_ALONE + NOWHERE, ids=range(13))
@pytest.mark.parametrize("other", [{}, {"other": "it's"}], ids=["alone", "beside"])
def test_an_option_that_cannot_be_written_is_left_to_another(value, other, kind, monkeypatch):
    cls = make(kind, option=value, **other)
    found = install(monkeypatch, kind, cls).components()[0]
    written = dict(usage(found, options(cls)))
    left_out = ["command", "Python"] if value in NOWHERE else ["command"] * (kind == "gradient")
    for place, line in written.items():
        assert ("option" in line) == (place not in left_out)
        assert ("other" in line) == (place in left_out and bool(other))
    check(kind, cls, written)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(INTERFACES)), st.dictionaries(st.sampled_from("abc"), SHAPES))
def test_whatever_the_options_are_the_lines_make_the_same_component(kind, defaults):
    with pytest.MonkeyPatch.context() as patch:
        cls = make(kind, **defaults)
        found = install(patch, kind, cls).components()[0]
        check(kind, cls, dict(usage(found, options(cls))))
