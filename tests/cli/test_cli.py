"""The command line: what it prints, what it writes, and how it ends."""

import re
import subprocess
import sys

import pytest
import torch
from PIL import Image

import fpdm
from fpdm.cli import main
from fpdm.cli.components import component
from fpdm.runtime.processes import processes
from tests.commands import run

TINY = [
    *("--set", "steps=3", "--set", "batch_size=4", "--set", "model.hidden_size=8"),
    *("--set", "model.num_heads=2", "--set", "model.patch_size=4"),
]


def size(picture) -> tuple[int, int]:
    with Image.open(picture) as opened:
        return opened.size


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    main(["train", "digits", *TINY, "--out", str(folder)])
    return folder


def test_train_writes_a_folder_that_sample_reads(trained, tmp_path, capsys):
    out = tmp_path / "picture.png"
    code, printed, _ = run(
        capsys,
        *("sample", "--model", trained, "--classes", 3, 1, 4, "--num", 5, "--budget", 24),
        *("--steps", 6, "--solver", "anderson:memory=2", "--allocation", "increasing"),
        *("--init", "extrapolate:step=0.25", "--guidance-scale", 1.5, "--out", out),
    )
    assert code == 0
    assert re.search(r"24 +6 +12 ", printed)
    assert "Wrote 5 images" in printed
    assert size(out)[0] > 5 * 40


def test_train_shows_progress_and_says_what_to_do_next(tmp_path, capsys):
    folder = tmp_path / "run"
    code, printed, progress = run(capsys, "train", "digits", *TINY, "--out", folder)
    assert code == 0
    assert f"fpdm sample --model {folder}" in " ".join(printed.split())
    assert all(word in progress for word in ("loss=", "residual=", "step/s", "3/3"))
    assert {"model", "scheduler", "model_index.json", "training.json"} <= {
        path.name for path in folder.iterdir()
    }


def test_train_never_overwrites_unasked(tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("keep")
    code, _, error = run(capsys, "train", "digits", *TINY, "--out", tmp_path)
    assert code == 2
    assert "already exists" in error
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    code, _, _ = run(capsys, "train", "digits", *TINY, "--out", tmp_path, "--overwrite")
    assert code == 0


def test_the_same_seed_draws_the_same_picture(trained, tmp_path, capsys):
    pictures = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.png"
        run(capsys, "sample", "--model", trained, "--budget", 12, "--seed", seed, "--out", out)
        pictures.append(out.read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_sample_draws_the_digits_of_the_package(tmp_path, capsys):
    out = tmp_path / "digits.png"
    code, printed, _ = run(capsys, "sample", "--init", "reuse", "--out", out)
    assert code == 0
    assert "Wrote 10 images" in printed


@pytest.mark.parametrize("out", ["picture.png", "samples.npz", "folder"])
def test_sample_says_what_images_cost_that_stop_on_their_own(out, tmp_path, capsys):
    asked = ("sample", "--num", 5, "--budget", 20, "--steps", 4, "--out", tmp_path / out)
    code, printed, said = run(capsys, *asked, "--tol", 10)
    assert code == 0
    assert re.search(r"\b12\b", printed)
    assert out == "folder" or "on average 12.0 of 20 passes." in said


@pytest.mark.parametrize("name", ["digits.png", "digits"])
@pytest.mark.parametrize("found", [None, "cuda"])
def test_sample_draws_where_it_is_told_or_on_the_accelerator(
    name, found, tmp_path, capsys, monkeypatch
):
    places = []
    monkeypatch.setattr(fpdm.FPDMPipeline, "to", lambda _, place: places.append(str(place)))
    if found:
        monkeypatch.setattr(processes(), "device", torch.device(found))
    command = ("sample", "--classes", 3, "--budget", 8)
    assert run(capsys, *command, "--out", tmp_path / name)[0] == 0
    assert run(capsys, *command, "--out", tmp_path / f"b{name}", "--device", "cpu")[0] == 0
    assert places == [found or "cpu", "cpu"]


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:77", ""])
def test_a_device_that_is_not_here_is_refused_and_named(device, tmp_path, capsys):
    out = tmp_path / "digits.png"
    code, printed, error = run(capsys, "sample", "--device", device, "--out", out)
    assert (code, printed) == (2, "")
    assert f"--device {device}: PyTorch cannot compute there; here are cpu" in error
    assert not out.exists()


@pytest.mark.parametrize("command", [["--help"], ["plugins"], ["plugins", "--json"]])
def test_a_reader_that_has_seen_enough_is_no_mistake(command):
    with subprocess.Popen(
        [sys.executable, "-m", "fpdm", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        program.stdout.close()
        assert program.stderr.read() == b""


def test_demo_prints_a_table_and_draws_a_picture(tmp_path, capsys):
    out = tmp_path / "demo.png"
    code, printed, _ = run(capsys, "demo", "--num", 100, "--out", out)
    assert code == 0
    for heading in ("block passes", "timesteps", "iterations", "seconds", "residual", "read as"):
        assert heading.split()[0] in printed
    rows = [line.split() for line in printed.splitlines() if "%" in line]
    assert len(rows) == 12
    for setting, budget, steps, iterations, *_ in rows:
        assert int(budget) == 2 * int(steps) + int(iterations)
        assert int(iterations) == int(steps) * (10 if setting in ("plain", "reuse") else 2)
    assert [row[1] for row in rows] == ["24"] * 4 + ["60"] * 4 + ["120"] * 4
    assert size(out)[1] > 12 * 40


@pytest.mark.parametrize(
    "command", ["demo", "sample", "train", "encode", "evaluate", "convert", "plugins"]
)
def test_help_has_examples(command, capsys):
    code, printed, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"fpdm {command}" in printed.partition("Examples")[2]
    assert command in run(capsys, "--help")[1]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sample", "--solver", "andersen"], "Did you mean 'anderson'?"),
        (["sample", "--budget", "many"], "--budget: many is no whole number."),
        (["sample", "all", "of them"], "Unexpected on the command line: all 'of them'."),
        (["sample", "--solver", "anderson:memory=3,memory=4"], "gives memory twice"),
        (["sample", "--solver", "anderson:"], "must be name or name:option=value"),
        (["sample", "--solver", "anderson:b:c"], "--solver anderson:b:c: must be"),
        (["sample", "--solver", "anderson:memory"], "must be name or name:option=value"),
        (["sample", "--solver", "anderson:memory=two"], "memory='two': must be a whole number"),
        (["sample", "--allocation", "naive"], "No allocation is named 'naive'"),
        (["sample", "--budget", "30", "--steps", "20"], "= 60 block passes"),
        (["sample", "--budget", "many"], "many"),
        (["sample", "--classes", "12"], "[12] out of range"),
        (["sample", "--num", "0"], "num=0: must be a whole number ≥ 1"),
        (["sample", "--tol", "0"], "tol=0.0: must be a number > 0"),
        (["sample", "--tol", "0.1", "--compile"], "tol=0.1: a compiled timestep makes every"),
        (["sample", "--seed", "-1"], "seed"),
        (["sample", "--out", "picture.txt"], "must end in .png"),
        (["sample", "--out", "no/such/folder/a.png"], "there is no folder no/such/folder"),
        (
            ["sample", "--model", "no-such-folder"],
            "must be a folder that `fpdm train` or `fpdm convert` wrote",
        ),
        (["sample", "--nonsense"], "nonsense"),
        (["train", "digitz"], "Did you mean 'digits'?"),
        (["train", "--set", "steps=x", "--out", "never"], "steps: 'x': must be a whole number"),
        (["demo", "--num", "3"], "num=3: must be a whole number ≥ 100"),
        (["demo", "--out", "demo.gif"], "must end in .png"),
        (["dmeo"], "dmeo"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(
    command, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    code, _, error = run(capsys, *command)
    assert code == 2
    assert message in " ".join(error.split())
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_one_sentence(trained, tmp_path, capsys):
    import shutil

    for damage in ("weights", "config", "index"):
        folder = tmp_path / damage
        shutil.copytree(trained, folder)
        path = {
            "weights": folder / "model" / "diffusion_pytorch_model.safetensors",
            "config": folder / "model" / "config.json",
            "index": folder / "model_index.json",
        }[damage]
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        code, _, error = run(capsys, "sample", "--model", folder, "--out", tmp_path / "x.png")
        assert code == 2
        assert "cannot be loaded" in error
        assert len(error.strip().splitlines()) == 1


def test_components_are_written_with_their_options():
    assert component("solver", None) is None
    assert component("solver", "naive") == fpdm.solver("naive")
    assert component("solver", "anderson:memory=3,ridge=1e-4") == fpdm.solver(
        "anderson", memory=3, ridge=1e-4
    )


def test_the_module_runs_too(tmp_path):
    module = [sys.executable, "-m", "fpdm"]
    done = subprocess.run([*module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fpdm.__version__
    sampling = [*module, "sample", "--budget", "12", "--out", "digits.png"]
    subprocess.run(sampling, capture_output=True, check=True, cwd=tmp_path)
    assert (tmp_path / "digits.png").exists()
    mistake = subprocess.run([*module, "sample", "--budget", "1"], capture_output=True, text=True)
    assert mistake.returncode == 2
    assert mistake.stderr.startswith("fpdm: budget=1 cannot pay")
