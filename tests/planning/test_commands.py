"""`fpdm calibrate`, `fpdm plan`, and `fpdm sample` by a plan: files, words, and how they end."""

import json
import shlex

import numpy as np
import pytest
import torch

import fpdm
from fpdm.calibration import Calibration
from tests.commands import run
from tests.sampling.pipelines import pipeline
from tests.toys import lively, tiny, tiny_dit

SIZE = {"sample_size": 8, "in_channels": 1, "num_classes": 10}
SMALL = (
    *("--samples", 2, "--budgets", 8, 16, "--schedulers", "dpm++", "--spacings", "linear"),
    *("--iterations", 2, "--solvers", "naive", "--inits", "features", "--allocations", "adaptive"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of random weights, for digits, in a folder whose name ends as a file's would."""
    folder = tmp_path_factory.mktemp("models") / "v1.0"
    pipeline(lively(tiny(**SIZE))).save_pretrained(folder)
    return folder


@pytest.fixture
def calibrated(folder, capsys):
    """The same with a calibration."""
    if not (folder / "calibration.json").exists():
        assert run(capsys, "calibrate", folder, *SMALL)[0] == 0
    return folder


def settings_of(call: str) -> dict[str, object]:
    """What a call that was printed says."""
    (line,) = [each for each in call.splitlines() if each.startswith("pipe(")]
    return eval(line.replace("pipe(…, ", "dict("), {"dict": dict})


def test_a_calibration_is_written_beside_the_model_and_shown(folder, tmp_path, capsys):
    code, printed, error = run(capsys, "calibrate", folder, *SMALL)
    assert code == 0, error
    assert f"Wrote {folder / 'calibration.json'}." in printed.replace("\n", "")
    found = Calibration.read(folder)
    assert fpdm.FPDMPipeline.from_pretrained(folder).calibration == found
    assert {budget for each in found.tried for budget in each.budgets} == {8, 16}
    assert "the error of 2 final samples" in printed
    out = tmp_path / "other.json"
    assert run(capsys, "calibrate", folder, *SMALL, "--out", out)[0] == 0
    assert Calibration.read(out) == found


def test_a_broken_calibration_is_made_anew(tmp_path, capsys):
    pipeline(lively(tiny(**SIZE))).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "calibration.json").write_text("{")
    code, _, error = run(capsys, "plan", tmp_path / "model", "--budget", 12)
    assert code == 2
    assert "is no calibration" in " ".join(error.split())
    assert run(capsys, "calibrate", tmp_path / "model", *SMALL)[0] == 0
    assert run(capsys, "plan", tmp_path / "model", "--budget", 12)[0] == 0


def test_components_with_options_come_back_from_the_file(folder, tmp_path, capsys):
    out = tmp_path / "options.json"
    given = ("--solvers", "naive:damping=0.5", "--allocations", "adaptive:rate=0.4")
    assert run(capsys, "calibrate", folder, *SMALL[:-6], *given, "--inits", "--out", out)[0] == 0
    ways = [each.way for each in Calibration.read(out).tried]
    assert {"name": "naive", "damping": 0.5} in [way.solver for way in ways]
    assert {"name": "adaptive", "rate": 0.4} in [way.allocation for way in ways]


@pytest.mark.parametrize("solver", [None, "naive", "naive:damping=0.5"])
def test_a_plan_prints_both_calls_and_the_second_draws_what_auto_draws(
    calibrated, tmp_path, capsys, solver
):
    settled = () if solver is None else ("--solver", solver)
    code, printed, error = run(capsys, "plan", calibrated, "--budget", 13, *settled)
    assert code == 0, error
    assert settings_of(printed)["budget"] == 13
    assert "13 block passes are" in printed
    (line,) = [each for each in printed.splitlines() if each.startswith("fpdm sample")]
    pictures = []
    for number, words in enumerate(
        (
            shlex.split(line)[1:],
            ["sample", "--model", calibrated, "--budget", 13, "--plan", "auto", *settled],
        )
    ):
        pictures.append(tmp_path / f"{number}.npz")
        code, _, error = run(capsys, *words, "--num", 3, "--out", pictures[-1])
        assert code == 0, error
    first, second = (np.load(picture)["samples"] for picture in pictures)
    assert np.array_equal(first, second)


def test_a_folder_drawn_by_plan_is_gone_on_with(calibrated, tmp_path, capsys):
    words = ("sample", "--model", calibrated, "--plan", "auto", "--budget", 12, "--num", 3)
    out = tmp_path / "drawn"
    code, _, remarks = run(capsys, *words, "--out", out)
    assert code == 0
    assert "the plan is pipe(" in remarks
    record = json.loads((out / "samples.json").read_text())
    assert (record["budget"], record["num_inference_steps"]) == (12, 3)
    before = (out / "000001.png").read_bytes()
    (out / "000001.png").unlink()
    assert run(capsys, *words, "--out", out)[0] == 0
    assert (out / "000001.png").read_bytes() == before


def test_seconds_draw_into_a_file_and_are_planned_with(calibrated, tmp_path, capsys):
    out = tmp_path / "drawn.npz"
    words = ("--seconds", 0.3, "--num", 2)
    code, _, error = run(capsys, "sample", "--model", calibrated, *words, "--out", out)
    assert code == 0, error
    assert len(np.load(out)["samples"]) == 2
    code, printed, error = run(capsys, "plan", calibrated, *words)
    assert code == 0, error
    assert "A run of 2 is expected to take 0." in printed
    code, _, error = run(
        capsys, "sample", "--model", calibrated, *words, "--out", tmp_path / "many"
    )
    assert code == 2
    assert "`fpdm plan --seconds 0.3 --num 2` says what to write" in " ".join(error.split())
    assert not (tmp_path / "many").exists()


def test_a_plan_by_another_file_is_printed(folder, tmp_path, capsys):
    out = tmp_path / "other.json"
    run(capsys, "calibrate", folder, *SMALL, "--out", out)
    assert run(capsys, "plan", folder, "--budget", 12, "--calibration", out)[0] == 0
    code, _, error = run(capsys, "plan", "--budget", 12, "--calibration", out)
    assert code == 2
    assert "configured otherwise" in " ".join(error.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("calibrate", "--samples", 2), "--out: say where to write"),
        (("calibrate", "MODEL", "--samples", 0), "samples=0"),
        (("calibrate", "MODEL", "--budgets", 2), "budgets=2"),
        (("calibrate", "MODEL", "--budgets", 8.5), 'unable to convert "8.5"'),
        (("calibrate", "MODEL", "--iterations", 0), "iterations=0"),
        (("calibrate", "MODEL", "--schedulers", "dpm"), "No scheduler is named 'dpm'"),
        (("calibrate", "MODEL", "--spacings", "lat"), "spacing='lat'"),
        (("calibrate", "MODEL", "--solvers", "andersen"), "Did you mean 'anderson'"),
        (("calibrate", "MODEL", "--guidance-scale", "nan"), "guidance_scale=nan"),
        (("calibrate", "MODEL", "--seed", -1), "seed=-1"),
        (("calibrate", "MODEL", "--out", "found.txt"), "must end in .json"),
        (("calibrate", "MODEL", "--device", "abacus"), "PyTorch cannot compute there"),
        (("calibrate", "nowhere"), "model_index.json"),
        (("plan", "MODEL"), "--budget, --seconds: give one of them"),
        (("plan", "MODEL", "--budget", 12, "--seconds", 1), "give one of them"),
        (("plan", "MODEL", "--budget", 2), "cannot pay for 1 steps"),
        (("plan", "MODEL", "--seconds", 0), "seconds=0"),
        (("plan", "MODEL", "--seconds", 1, "--num", 0), "count=0"),
        (("plan", "MODEL", "--budget", 12, "--solver", "andersen"), "Did you mean 'anderson'"),
        (("plan", "MODEL", "--budget", 12, "--calibration", "none.json"), "no calibration at"),
        (("sample", "--model", "MODEL", "--plan", "best"), "--plan='best'"),
        (("sample", "--model", "MODEL", "--plan", "auto", "--steps", 3), "leave them out"),
        (("sample", "--model", "MODEL", "--plan", "auto", "--steps", 0), "leave them out"),
        (("sample", "--model", "MODEL", "--seconds", 1, "--budget", 9), "give one of them"),
        (("sample", "--model", "MODEL", "--seconds", -1), "seconds=-1"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_and_nothing_is_written(
    calibrated, tmp_path, capsys, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    before = (calibrated / "calibration.json").read_bytes()
    code, printed, error = run(capsys, *(calibrated if word == "MODEL" else word for word in words))
    assert code == 2
    assert said in " ".join(error.split())
    assert not printed
    assert not list(tmp_path.iterdir())
    assert (calibrated / "calibration.json").read_bytes() == before


def test_an_explicit_network_and_a_model_without_a_calibration_are_refused(tmp_path, capsys):
    pipeline(lively(tiny_dit(**SIZE, depth=2))).save_pretrained(tmp_path / "dit")
    pipeline(lively(tiny(**SIZE))).save_pretrained(tmp_path / "bare")
    for command in (("calibrate",), ("plan", "--budget", 12)):
        code, _, error = run(capsys, command[0], tmp_path / "dit", *command[1:])
        assert code == 2
        assert "A DiT has no implicit layer" in " ".join(error.split())
    code, _, error = run(capsys, "plan", tmp_path / "bare", "--budget", 12)
    assert code == 2
    assert "run `fpdm calibrate MODEL`" in " ".join(error.split())


def test_points_are_calibrated_and_drawn_by_plan(tmp_path, capsys):
    torch.manual_seed(0)
    model = tmp_path / "my points"
    pipeline(lively(fpdm.network("mlp", in_channels=2, width=8))).save_pretrained(model)
    assert run(capsys, "calibrate", model, *SMALL)[0] == 0
    code, printed, error = run(capsys, "plan", model, "--budget", 12)
    assert code == 0, error
    (line,) = [each for each in printed.splitlines() if each.startswith("fpdm sample")]
    out = tmp_path / "points.npz"
    assert run(capsys, *shlex.split(line)[1:], "--num", 4, "--out", out)[0] == 0
    assert np.load(out)["samples"].shape == (4, 2)
