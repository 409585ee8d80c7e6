"""`fpdm plugins`: what it lists, what it says of one component, and what programs read of it."""

import inspect
import json
import re
import shlex
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
import torch

import fpdm
import fpdm.cli.plugins
from fpdm.allocator import WeightedAllocation
from fpdm.cli.components import component
from fpdm.cli.documentation import docstring, usage
from fpdm.cli.listing import short
from fpdm.cli.options import literal, options, plain
from fpdm.errors import PluginWarning
from fpdm.iteration import IterativeSolver
from fpdm.plugins import KINDS, Origin, PluginHost, host
from tests.built_ins import built_ins, own_entry_points
from tests.commands import run
from tests.plugins.hosts import plugin

COUNT = sum(map(len, built_ins().values()))


def narrow(monkeypatch, columns: int) -> None:
    """As in a terminal of so many characters to a line, without colours."""
    for name, value in (("TTY_COMPATIBLE", "1"), ("NO_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", str(columns))


def uncoloured(printed: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", printed)


@pytest.fixture
def crowded(monkeypatch) -> PluginHost:
    """A host with a plugin that cannot be imported, and one that is disabled."""
    monkeypatch.setenv("FPDM_DISABLE_PLUGINS", "gradients")
    absent = EntryPoint("absent", "no_such_module:hooks", "fpdm")
    monkeypatch.setattr(
        "fpdm.plugins.discovery.entry_points",
        lambda group: [absent, *own_entry_points(group=group)],
    )
    with pytest.warns(PluginWarning):
        made = PluginHost()
    monkeypatch.setattr(fpdm.cli.plugins, "host", lambda: made)
    return made


def test_a_line_for_each_component_has_all_there_is_to_say(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    code, printed, error = run(capsys, "plugins")
    assert (code, error) == (0, "")
    lines = [line.split() for line in printed.splitlines() if line.split()[:1]]
    for found in host().components():
        (line,) = [line for line in lines if line[:2] == [found.kind, found.name]]
        assert line[2:5] == [found.cls.__name__, found.origin.package, found.origin.version]
        assert line[5] == found.cls.__module__.replace(".", "/") + ".py"
        assert line[6:] == " ".join(map(str, options(found.cls, found.kind))).split()
    assert not any(line.endswith(" ") for line in printed.splitlines())
    assert "Failed" not in printed
    assert "Disabled" not in printed


@pytest.mark.parametrize("columns", [80, 100, 160])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_name_is_broken_and_no_line_too_long(columns, terminal, monkeypatch, capsys):
    if terminal:
        narrow(monkeypatch, columns)
    else:
        monkeypatch.setenv("COLUMNS", str(columns))
    printed = uncoloured(run(capsys, "plugins")[1])
    assert max(map(len, printed.splitlines())) <= columns
    words = printed.replace(",", " ").split()
    for found in host().components():
        assert {found.kind, found.name, found.cls.__name__} <= set(words)
        assert found.cls.__module__.replace(".", "/") + ".py" in words
        told = " ".join(map(str, options(found.cls, found.kind))).replace(",", " ")
        assert set(told.split()) <= set(words)


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.usefixtures("crowded")
def test_what_failed_and_what_is_disabled_have_tables(columns, monkeypatch, capsys):
    narrow(monkeypatch, columns)
    code, printed, error = run(capsys, "plugins")
    printed = uncoloured(printed)
    assert (code, error) == (0, "")
    failed, _, disabled = printed.partition("Failed")[2].partition("Disabled")
    for words in ("absent", "no_such_module:hooks", "ModuleNotFoundError: No module named"):
        assert words in " ".join(failed.split())
    assert "gradients" in disabled.split()
    assert "fpdm_gradients.hooks" in disabled.split()
    assert "gradient sjfb" not in " ".join(printed.split())


def test_json_has_it_all_and_nothing_else(capsys):
    code, printed, error = run(capsys, "plugins", "--json")
    assert (code, error) == (0, "")
    told = json.loads(printed)
    assert (told["failures"], told["disabled"]) == ([], [])
    assert len(told["components"]) == len(host().components()) == COUNT
    for found, said in zip(host().components(), told["components"], strict=True):
        described = said.pop("options")
        assert Path(said["file"]).samefile(inspect.getsourcefile(found.cls))
        assert said == {
            "kind": found.kind,
            "name": found.name,
            "class": f"{found.cls.__module__}:{found.cls.__name__}",
            "plugin": found.origin.plugin,
            "package": "fpdm",
            "version": fpdm.__version__,
            "file": said["file"],
        }
        parameters, kind = inspect.signature(found.cls).parameters, KINDS[found.kind]
        assert described.keys() == parameters.keys() - set(kind.given)
        assert all(option["description"] for option in described.values())
        required = {name for name, option in described.items() if option["required"]}
        assert required == {
            n for n in described if parameters[n].default is inspect.Parameter.empty
        }
        defaults = {name: option["default"] for name, option in described.items()}
        if kind.late:
            assert all(defaults[n] == parameters[n].default for n in defaults.keys() - required)
        else:
            assert found.cls(**defaults) == found.cls()


@pytest.mark.usefixtures("crowded")
def test_json_tells_of_failures_and_of_what_is_disabled(capsys):
    told = json.loads(run(capsys, "plugins", "--json")[1])
    reason = "ModuleNotFoundError: No module named 'no_such_module'"
    assert told["failures"] == [
        {
            "plugin": "absent",
            "package": "",
            "version": "",
            "value": "no_such_module:hooks",
            "file": None,
            "line": None,
            "reason": reason,
        }
    ]
    assert told["disabled"] == [
        {
            "plugin": "gradients",
            "package": "fpdm",
            "version": fpdm.__version__,
            "value": "fpdm_gradients.hooks",
        }
    ]


def test_a_name_to_disable_that_fits_nothing_is_a_remark(monkeypatch, capsys):
    monkeypatch.setenv("FPDM_DISABLE_PLUGINS", "solver")
    monkeypatch.setattr(fpdm.cli.plugins, "host", PluginHost)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of the tests
        code, printed, error = run(capsys, "plugins", "--json")
    assert code == 0
    assert len(json.loads(printed)["components"]) == COUNT
    assert "no plugin or package is named 'solver'. Did you mean 'solvers'?" in error


def test_show_prints_the_documentation(monkeypatch, capsys):
    narrow(monkeypatch, 80)
    code, printed, error = run(capsys, "plugins", "show", "anderson")
    printed = uncoloured(printed)
    assert (code, error) == (0, "")
    assert max(map(len, printed.splitlines())) <= 80
    text = " ".join(printed.split())
    for said in (
        "solver anderson",
        "class fpdm_solvers.anderson:Anderson",
        f"package fpdm {fpdm.__version__}",
        "plugin solvers",
        "fpdm_solvers/anderson.py",
        "Anderson acceleration in difference form, for each sample on its own.",
        "type II: γ = argmin ‖r_k - dR γ‖² + ridge ‖diag(‖dR‖) γ‖²",
        "Walker and Ni",
        "memory int 6 the number m of differences kept, ≥ 1; 2 m + 4 states of memory.",
        "fpdm sample --solver anderson:memory=6 --steps 5",
        'fpdm.solver("anderson", memory=6)',
    ):
        assert said in text
    assert "Args:" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_can_be_shown(kind, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    for found in host().components(kind):
        code, printed, _ = run(capsys, "plugins", "show", found.name, "--kind", kind)
        assert code == 0
        assert printed.startswith(f"{kind} {found.name}\n")
        for option in options(found.cls, found.kind):
            default = "to be given" if option.required else literal(option.default)
            assert re.search(rf"^ {option.name} .*{re.escape(default)}", printed, re.M)


def test_what_show_says_of_a_training_is_true(capsys):
    for found in [each for each in host().components() if KINDS[each.kind].table]:
        written = dict(usage(found, options(found.cls, found.kind)))
        code, config, _ = run(capsys, *shlex.split(written["command"])[1:], "--print-config")
        assert code == 0
        assert f'{KINDS[found.kind].key} = "{found.name}"' in config
        if "PATH" not in written["Python"]:
            assert type(eval(written["Python"], {"fpdm": fpdm})) is found.cls


def test_what_show_says_of_the_use_is_true(capsys):
    for found in [each for each in host().components() if not KINDS[each.kind].table]:
        written = dict(usage(found, options(found.cls, found.kind)))
        assert eval(written["Python"], {"fpdm": fpdm}) == found.cls()
        tokens = shlex.split(written["command"])
        if found.kind == "gradient":
            code, config, _ = run(capsys, *tokens[1:], "--print-config")
            assert code == 0
            assert f'name = "{found.name}"' in config
        else:
            _, value, *rest = tokens[tokens.index(f"--{found.kind}") :]
            assert component(found.kind, value) == found.cls()
            assert rest == (["--steps", "5"] if found.kind == "solver" else [])


def test_a_name_of_two_kinds_shows_both(monkeypatch, capsys):
    both = PluginHost([])
    both.register(
        plugin(fpdm_register_solvers=lambda: [Both], fpdm_register_allocations=lambda: [Even]),
        Origin("mine", "mine", "2.0"),
    )
    monkeypatch.setattr(fpdm.cli.plugins, "host", lambda: both)
    printed = run(capsys, "plugins", "show", "both")[1]
    assert "solver both" in printed
    assert "allocation both" in printed
    one = run(capsys, "plugins", "show", "both", "--kind", "allocation")[1]
    assert "solver both" not in one
    assert "package  mine 2.0" in one


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["show", "andersen"], "No component is named 'andersen'. Did you mean 'anderson'?"),
        (
            ["show", "naive", "--kind", "init"],
            f"No init is named 'naive'. Available: {min(built_ins()['init'])}",
        ),
        (["show", "naive", "--kind", "solvr"], "solvr"),
        (["show"], "NAME"),
        (["shwo"], "shwo"),
        (["--jsn"], "--jsn"),
    ],
)
def test_a_mistake_is_one_sentence(command, message, capsys):
    code, printed, error = run(capsys, "plugins", *command)
    assert (code, printed) == (2, "")
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.usefixtures("crowded")
def test_a_component_that_is_disabled_is_not_shown_and_one_learns_why(capsys):
    code, _, error = run(capsys, "plugins", "show", "sjfb")
    assert code == 2
    assert "Disabled by FPDM_DISABLE_PLUGINS: 'gradients' of fpdm" in error
    assert "Plugin 'absent' failed: ModuleNotFoundError" in error


def test_help_has_examples_and_commands(capsys):
    code, printed, _ = run(capsys, "plugins", "--help")
    assert code == 0
    assert "fpdm plugins show anderson" in printed.partition("Examples")[2]
    for word in ("show", "--json", "FPDM_DISABLE_PLUGINS"):
        assert word in printed
    assert "plugins" in run(capsys, "--help")[1]
    assert "--kind" in run(capsys, "plugins", "show", "--help")[1]


@attrs.frozen
class Both(IterativeSolver):
    """Needs no words."""

    name: ClassVar[str] = "both"
    needed: int = 1
    listed: list[int] = attrs.Factory(lambda: [1, 2])
    twice: int = attrs.Factory(lambda self: 2 * self.needed, takes_self=True)
    far: float = float("inf")
    dtype: object = torch.float16
    pair: tuple[str, int] = ("a", 1)

    def start(self, z0):
        del z0

    def advance(self, z, image, state):
        del z
        return image, state


@attrs.frozen
class Even(WeightedAllocation):
    name: ClassVar[str] = "both"

    def weights(self, steps):
        return [1] * steps


def test_options_of_every_sort_are_told():
    told = {option.name: option for option in options(Both)}
    assert str(told["needed"]) == "needed=1"
    assert told["listed"].default == [1, 2]
    assert str(told["far"]) == "far=inf"
    assert str(told["pair"]) == "pair=('a', 1)"
    assert {name: option.type for name, option in told.items()}["pair"] == "tuple[str, int]"
    defaults = {name: plain(option.default) for name, option in told.items()}
    assert json.loads(json.dumps(defaults, allow_nan=False)) == {
        "needed": 1,
        "listed": [1, 2],
        "twice": 2,
        "far": "inf",
        "dtype": "torch.float16",
        "pair": ["a", 1],
    }


class Exits:
    def __repr__(self):
        raise SystemExit(3)


ENDLESS: list = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "value",
    [Exits(), [Exits()], 10**5000, ENDLESS, range(30_000_000), "a" * 9999, {1: Exits}, b"ab"],
    ids=lambda value: type(value).__name__,
)
def test_a_default_of_any_sort_is_told_in_a_line_and_in_json(value):
    assert len(literal(value)) < 300
    assert len(json.dumps(plain(value), allow_nan=False)) < 10_100


def test_what_plugins_print_is_not_in_the_json(monkeypatch, capsys):
    def chatty():
        print("made with love")
        return host()

    monkeypatch.setattr(fpdm.cli.plugins, "host", chatty)
    code, printed, error = run(capsys, "plugins", "--json")
    assert code == 0
    assert json.loads(printed)["components"]
    assert "made with love" in error


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        (None, "It has no docstring."),
        ("One line.", "One line."),
        ("See [`solve`][fpdm.FixedPointSolver.solve].", "See `solve`."),
        ("First.\n\n    x = 1\n\nLast.\n\nArgs:\n    x: it.\n", "First.\n\n    x = 1\n\nLast."),
        (
            "First.\n\nRaises:\n    ValueError: never.\n",
            "First.\n\n**Raises**\n\n- `ValueError`: never.",
        ),
        (
            "First.\n\nExamples:\n    >>> 1 + 1\n    2\n",
            "First.\n\n**Examples**\n\n```python\n>>> 1 + 1\n2\n```",
        ),
        ("First.\n\nArgs:\n    no colon here\n", "First.\n\nArgs:\n    no colon here"),
    ],
)
def test_a_docstring_of_any_sort_is_markdown(text, markdown):
    cls = type("Mine", (), {"__doc__": text})
    assert docstring(cls) == markdown
    assert options(cls) == ()


def test_a_file_is_shown_from_its_package_on():
    assert short(Path("/a/site-packages/pack/sub/mine.py"), "pack.sub.mine") == "pack/sub/mine.py"
    assert short(Path("/a/site-packages/mine.py"), "mine") == "mine.py"
    assert short(Path.home() / "work" / "other.py", "mine") == "~/work/other.py"
    assert short(Path("/elsewhere/other.py"), "mine") == "/elsewhere/other.py"
