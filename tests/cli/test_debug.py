"""How the program ends: with a sentence, and with the whole traceback where it is asked for."""

import importlib
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

import fpdm
from fpdm.plugins import Origin, PluginHost, lookup
from tests.built_ins import own_entry_points
from tests.commands import run

SOURCE = """\
import fpdm
from fpdm.iteration import IterativeSolver

class Zero(fpdm.AllocationPolicy):
    name = "zero"

    def iterations(self, *arguments, **named):
        return 1 / 0

class Lost(fpdm.InitStrategy):
    name = "lost"

    def initial(self, *arguments, **named):
        raise TypeError("lost")

class Stray(IterativeSolver):
    name = "stray"

    def start(self, z0):
        raise RuntimeError("stray")

    def advance(self, z, image, state):
        return image, state

class Gone(fpdm.GradientEstimator):
    name = "gone"

    def solve(self, *arguments):
        raise OSError("gone")
"""
RAISED = {
    "allocation": ("zero", "ZeroDivisionError: division by zero", 8),
    "init": ("lost", "TypeError: lost", 14),
    "solver": ("stray", "RuntimeError: stray", 20),
}
HINT = "Add --debug to see the whole traceback."
MISTAKES = [
    (["sample", "--solver", "andersen"], "UnknownNameError", "Did you mean 'anderson'?"),
    (["sample", "--budget", "many"], "InvalidValueError", "many is no whole number"),
    (["sample", "--nonsense"], "UnknownOptionError", "nonsense"),
    (["sample", "a", "b"], "UnusedCliTokensError", "Unexpected on the command line: a b."),
    (["dmeo"], "UnknownCommandError", "dmeo"),
    (["train", "digitz"], "UnknownNameError", "Did you mean 'digits'?"),
    (["encode", "nowhere", "there"], "MissingArgumentError", "--vae"),
    (["evaluate", "nowhere", "--reference", "digits"], "UnknownNameError", "no such file or"),
    (["convert", "nowhere.pt", "there"], "Error", "nowhere.pt"),
    (["demo", "--num", "3"], "InvalidValueError", "num=3"),
    (["new-plugin", "1"], "InvalidValueError", "1"),
    (["plugins", "show", "andersen"], "UnknownNameError", "Did you mean 'anderson'?"),
    (["plugins", "--jsn"], "UnknownOptionError", "--jsn"),
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.delenv("FPDM_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def broken(tmp_path, monkeypatch) -> str:
    """The file of a plugin whose components raise, installed beside ours."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "raises_module", raising=False)
    file = tmp_path / "raises_module.py"
    file.write_text(textwrap.dedent(SOURCE), encoding="utf-8")
    importlib.invalidate_caches()
    module = importlib.import_module("raises_module")
    made = PluginHost(own_entry_points())
    offered = {
        "fpdm_register_allocations": lambda: [module.Zero],
        "fpdm_register_inits": lambda: [module.Lost],
        "fpdm_register_solvers": lambda: [module.Stray],
        "fpdm_register_gradients": lambda: [module.Gone],
    }
    hooks = SimpleNamespace(**{name: fpdm.hookimpl(hook) for name, hook in offered.items()})
    made.register(hooks, Origin("raises", "my-package", "1.0", "raises_module"))
    monkeypatch.setattr(lookup._installed, "_host", made)
    return str(file)


def sentences(error: str) -> list[str]:
    return [line for line in error.splitlines() if line.startswith("fpdm: ")]


@pytest.mark.parametrize("kind", RAISED)
def test_what_a_plugin_raises_is_a_sentence_and_a_hint(kind, broken, capsys):
    name, reason, line = RAISED[kind]
    code, printed, error = run(capsys, "sample", "--budget", 12, f"--{kind}", name)
    assert (code, printed) == (2, "")
    assert "Traceback" not in error
    assert sentences(error) == [
        f"fpdm: The {kind} {name!r} of plugin 'raises' of my-package 1.0 failed: {reason} "
        f"({broken}, line {line}). {HINT}"
    ]


def test_so_it_is_in_training(broken, capsys):
    tiny = ("--set", "steps=1", "--set", "batch_size=4", "--set", "model.hidden_size=8")
    tiny += ("--set", "model.num_heads=2", "--set", "model.patch_size=4", "--out", "run")
    gone = ("--set", "model.gradient=gone")
    code, _, error = run(capsys, "train", "digits", *tiny, *gone)
    assert code == 2
    assert "Traceback" not in error
    (said,) = sentences(error)
    assert said.startswith("fpdm: The gradient 'gone' of plugin 'raises' of my-package 1.0 failed")
    assert said.endswith(f"OSError: gone ({broken}, line 29). {HINT}")


@pytest.mark.parametrize("place", ["before", "behind", "variable"])
def test_the_traceback_is_there_where_it_is_asked_for(place, broken, monkeypatch, capsys):
    command = ["sample", "--budget", "12", "--allocation", "zero"]
    if place == "variable":
        monkeypatch.setenv("FPDM_DEBUG", "1")
    elif place == "before":
        command = ["--debug", *command]
    else:
        command += ["--debug"]
    code, printed, error = run(capsys, *command)
    assert (code, printed) == (2, "")
    traceback, _, sentence = error.rstrip().rpartition("\n")
    assert traceback.count("Traceback (most recent call last):") == 2
    assert f'File "{broken}", line 8, in iterations' in traceback
    assert "ZeroDivisionError: division by zero" in traceback
    assert sentence.startswith("fpdm: The allocation 'zero' of plugin 'raises' of my-package")
    assert "--debug" not in sentence


@pytest.mark.parametrize(("command", "error", "said"), MISTAKES)
def test_every_error_has_its_traceback_and_the_same_sentence(command, error, said, capsys):
    plain = run(capsys, *command)
    assert "Traceback" not in plain[2]
    assert HINT not in plain[2]
    for debugged in (["--debug", *command], [*command, "--debug"]):
        code, printed, told = run(capsys, *debugged)
        assert (code, printed) == plain[:2]
        assert told.startswith("Traceback (most recent call last):\n")
        assert error in told
        assert said in sentences(told)[-1]
        assert told.endswith(sentences(plain[2])[-1] + "\n")


@pytest.mark.parametrize("value", ["", "0"])
def test_a_variable_may_say_no(value, monkeypatch, capsys):
    monkeypatch.setenv("FPDM_DEBUG", value)
    code, _, error = run(capsys, "dmeo")
    assert code == 2
    assert "Traceback" not in error


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "fpdm: interrupted."),
        (FileNotFoundError(2, "No such file or directory", "a.png"), 2, "fpdm: a.png: No such"),
    ],
)
def test_what_is_no_error_of_ours_ends_as_it_did(error, code, said, debug, monkeypatch, capsys):
    def load(_):
        raise error

    monkeypatch.setattr("fpdm.cli.sample.load_pipeline", load)
    found, _, told = run(capsys, "sample", *debug)
    assert found == code
    assert sentences(told)[-1].startswith(said)
    assert ("Traceback" in told) == bool(debug)


def test_a_mistake_of_the_programs_own_is_not_hidden(monkeypatch, capsys):
    monkeypatch.setattr("fpdm.cli.sample.load_pipeline", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(capsys, "sample")


@pytest.mark.parametrize("command", [[], ["sample"], ["plugins"], ["plugins", "show"], ["train"]])
def test_help_tells_of_it_once(command, capsys):
    code, printed, _ = run(capsys, *command, "--help")
    assert code == 0
    assert printed.count("--debug") == 1
    assert printed == run(capsys, "--debug", *command, "--help")[1]


def test_debug_changes_nothing_where_all_goes_well(capsys):
    assert run(capsys, "plugins", "--json", "--debug") == run(capsys, "plugins", "--json")
    assert run(capsys, "--debug", "--version") == (0, f"{fpdm.__version__}\n", "")


def test_a_word_behind_two_dashes_is_no_option(capsys):
    code, _, error = run(capsys, "sample", "--", "--debug")
    assert code == 2
    assert "Traceback" not in error
    assert "--debug" in error


def test_a_debug_that_is_neither_is_a_sentence(capsys):
    code, _, error = run(capsys, "sample", "--debug=perhaps")
    assert code == 2
    assert len(error.splitlines()) == 1
    assert "--debug" in error


def test_the_command_line_of_the_process_is_read():
    done = subprocess.run(
        [sys.executable, "-m", "fpdm", "sample", "--budget", "1", "--debug"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("fpdm: budget=1 cannot pay")
