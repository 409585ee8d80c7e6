"""`fpdm new-plugin` writes a package that works at once, or nothing."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from fpdm.plugins.components import KINDS
from tests.commands import run
from tests.places import ROOT
from tests.plugins.environments import Environment

WRONG = {
    "heavy_ball": "words of small letters",
    "Heavy-Ball": "words of small letters",
    "3d": "words of small letters",
    "-x": "",
    "": "words of small letters",
    "a--b": "words of small letters",
    "x" * 31: "at most 30 characters",
    "fpdm-mine": "leave out fpdm-",
    "fpdm": "is the name of this library",
    "none": "is a keyword of Python",
    "lambda": "is a keyword of Python",
    "anderson": "is the name of a solver already",
    "solvers": "there is an import package fpdm_solvers already",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_a_kind(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, printed, _ = run(capsys, "new-plugin", "heavy-ball", "--kind", kind)
    assert code == 0
    folder = tmp_path / "fpdm-heavy-ball"
    written = {file.relative_to(folder).as_posix() for file in folder.rglob("*.*")}
    assert written == {
        *("pyproject.toml", "README.md", f"tests/test_{kind}.py"),
        *(f"src/fpdm_heavy_ball/{name}" for name in ("__init__.py", "hooks.py", "py.typed")),
        f"src/fpdm_heavy_ball/{kind}.py",
    }
    assert "pip install -e" in printed
    assert "fpdm plugins show heavy-ball" in printed


SOLVING = ("solver", "init", "gradient", "evals", "training_solver")


def test_a_solver_is_what_one_gets_without_a_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run(capsys, "new-plugin", "mine", "--out", "there")
    assert (tmp_path / "there" / "src" / "fpdm_mine" / "solver.py").is_file()


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_cannot_be_is_refused_and_nothing_written(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, printed, said = run(capsys, "new-plugin", name)
    assert code == 2
    assert printed == ""
    assert said.count("\n") == 1
    assert WRONG[name] in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "fpdm-mine" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    code, _, said = run(capsys, "new-plugin", "mine")
    assert code == 2
    assert "already exists" in said
    assert list(kept.parent.iterdir()) == [kept]


def test_a_network_and_a_data_set_of_ones_own_train_and_are_drawn_from(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    environment = Environment.make(tmp_path / "venv")
    run(capsys, "new-plugin", "discs", "--kind", "network", "--kind", "dataset")
    environment.install(tmp_path / "fpdm-discs")
    settings = ["model.network=discs", "model.width=8", "data.kind=discs", "data.size=8"]
    settings += ["steps=3", "batch_size=4", "tracking.samples=4", "checkpoints.every=2"]
    chosen = [word for setting in settings for word in ("--set", setting)]

    wrong = environment.run("-m", "fpdm", "train", *chosen, "--set", "model.depth=3", cwd=tmp_path)
    assert wrong.code == 2
    assert "model: there is no 'depth'" in wrong.error
    trained = environment.run("-m", "fpdm", "train", *chosen, "--out", "runs/discs", cwd=tmp_path)
    assert trained.code == 0, trained.output
    made = tmp_path / "runs" / "discs"
    assert json.loads((made / "model" / "config.json").read_text())["width"] == 8
    plain = json.loads((made / "training.json").read_text())
    assert plain["data"] == {"kind": "discs", "size": 8, "count": 1000}
    assert {"network": "discs", "width": 8}.items() <= plain["model"].items()
    assert plain["model"].keys() - {"network", "width"} <= {*SOLVING}

    resumed = environment.run(
        *("-m", "fpdm", "train", *chosen, "--out", "runs/discs", "--resume"), cwd=tmp_path
    )
    assert "going on from step 3" in resumed.error
    drawn = environment.run(
        *("-m", "fpdm", "sample", "--model", "runs/discs", "--classes", "small", "large"),
        *("--budget", "12", "--solver", "anderson:memory=2", "--guidance-scale", "2"),
        cwd=tmp_path,
    )
    assert drawn.code == 0, drawn.output
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.size > (50, 50)
    kit = "import fpdm; from fpdm.testing import check_network as n, check_dataset as d; "
    kit += "from fpdm_discs import DiscsNetwork, DiscsDataset; n(DiscsNetwork); d(DiscsDataset)"
    checked = environment.run("-c", kit, cwd=tmp_path)
    assert checked.code == 0, checked.output


def test_packages_of_every_kind_pass_their_own_tests_and_ours(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    environment = Environment.make(tmp_path / "venv")
    kinds = [token for kind in KINDS for token in ("--kind", kind)]
    packages = {"fpdm-all-four": kinds, **{f"fpdm-one-{kind}": ["--kind", kind] for kind in KINDS}}
    for package, options in packages.items():
        run(capsys, "new-plugin", package.removeprefix("fpdm-"), *options)
    folders = [tmp_path / package for package in packages]
    environment.install(*folders)

    listed = environment.plugins()
    assert listed["failures"] == []
    found = {(each["kind"], each["name"]) for each in listed["components"]}
    assert found >= {(kind, name) for kind in KINDS for name in ("all-four", f"one-{kind}")}
    tested = environment.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *folders
    )
    assert tested.code == 0, tested.output
    for tool in (["ruff", "check"], ["ruff", "format", "--check"]):
        done = subprocess.run([sys.executable, "-m", *tool, *folders], capture_output=True)
        assert done.returncode == 0, done.stdout
    checked = environment.run(
        *("-m", "mypy", "--strict", "--follow-imports", "silent", "src", "tests"),
        cwd=tmp_path / "fpdm-all-four",
        MYPYPATH=str(ROOT),  # mypy does not see what is installed as editable
    )
    assert checked.code == 0, checked.output
