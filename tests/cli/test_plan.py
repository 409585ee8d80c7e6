"""`fpdm plan` prints a command that can be pasted, and says the same as the command makes."""

import shlex

import pytest

import fpdm
from fpdm.cli.components import component
from fpdm.cli.plan import _line, _spec
from tests.commands import run

SOLVERS = ["naive", "naive:damping=0.5", "anderson:memory=3,carry=True", "broyden"]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("model", [None, "runs/my digits"])
def test_the_line_reads_as_what_it_was_made_of(solver, model):
    made = component("solver", solver)
    spec = _spec("solver", made)
    words = shlex.split(_line({"budget": 60, "num_inference_steps": 15, "solver": spec}, model))
    assert words[:2] == ["fpdm", "sample"]
    said = dict(zip(words[2::2], words[3::2], strict=True))
    assert said.pop("--model", None) == model
    assert component("solver", said.pop("--solver")) == made
    assert said == {"--budget": "60", "--steps": "15"}


def test_a_component_with_its_usual_options_is_its_name():
    for spec in ("naive", {"name": "naive"}, fpdm.solver("naive"), {"name": "naive", "damping": 1}):
        assert _line({"solver": _spec("solver", spec)}, None) == "fpdm sample --solver naive"


def test_both_or_neither_of_budget_and_seconds_are_refused(capsys):
    for words in ((), ("--budget", 60, "--seconds", 2)):
        code, printed, said = run(capsys, "plan", *words)
        assert (code, printed) == (2, "")
        assert "give one of them" in said
