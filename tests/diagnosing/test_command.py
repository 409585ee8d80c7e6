"""`fpdm diagnose`: its table, its words, its files, and how it ends."""

import numpy as np
import pytest
import torch

import fpdm
from fpdm.diagnosing import Diagnosis, explain
from tests.commands import run
from tests.sampling.pipelines import pipeline
from tests.toys import lively, tiny, tiny_dit

SIZE = {"sample_size": 8, "in_channels": 1, "num_classes": 10}
SMALL = ("--num", 2, "--budget", 16, "--steps", 4, "--evals", 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of random weights, for digits."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipeline(lively(tiny(**SIZE))).save_pretrained(folder)
    return folder


def test_it_prints_a_table_and_words_and_writes_two_files(folder, tmp_path, capsys):
    out = tmp_path / "found" / "here"
    code, printed, _ = run(capsys, "diagnose", folder, *SMALL, "--out", out)
    assert code == 0
    found = Diagnosis.read(out / "diagnosis.json")
    assert sorted(path.name for path in out.iterdir()) == ["diagnosis.json", "diagnosis.png"]
    assert "FPDiT: 16 block passes over 4 timesteps, 2 samples" in printed
    for each in found.findings:
        assert f"{each.timestep:.0f}" in printed
    for sentence in explain(found):
        assert f"- {sentence}" in printed
    assert (found.solvers, found.inits) == (
        ("naive", "anderson", "broyden"),
        ("features", "reuse", "extrapolate"),
    )
    again = run(capsys, "diagnose", folder, *SMALL, "--out", out)
    assert again[0] == 0
    assert Diagnosis.read(out / "diagnosis.json") == found


def test_the_digits_of_the_package_are_what_is_diagnosed_by_default(tmp_path, capsys):
    code, printed, _ = run(
        capsys, "diagnose", *SMALL, "--solvers", "anderson", "--out", tmp_path, "--quiet"
    )
    assert code == 0
    assert "contracts at all 4 timesteps" in printed


def test_solvers_and_inits_are_those_that_are_written(folder, tmp_path, capsys):
    code, printed, _ = run(
        capsys,
        *("diagnose", folder, *SMALL, "--solvers", "anderson:memory=2", "naive:damping=0.5"),
        *("--inits", "reuse", "--solver", "naive", "--init", "features", "--tol", 0.5),
        *("--most", 2, "--seed", 3, "--guidance-scale", 1.5, "--out", tmp_path),
    )
    assert code == 0
    found = Diagnosis.read(tmp_path / "diagnosis.json")
    assert found.solvers == ("anderson:memory=2", "naive:damping=0.5")
    assert (found.inits, found.init, found.solver) == (("reuse",), "features", "naive")
    assert (found.seed, found.tol, found.guided, len(found.findings)) == (3, 0.5, True, 2)
    assert "anderson:memory=2" in printed


@pytest.mark.parametrize("sort", ["a data set", "a folder", "an archive"])
def test_real_samples_come_from_anywhere(sort, folder, tmp_path, capsys):
    if sort == "a data set":
        data = "digits"
    else:
        data = tmp_path / ("drawn" if sort == "a folder" else "drawn.npz")
        run(capsys, "sample", "--model", folder, "--num", 3, "--budget", 12, "--out", data)
    given = ("diagnose", folder, *SMALL, "--data", data, "--out", tmp_path / "found")
    code, printed, error = run(capsys, *given)
    assert code == 0, error
    assert "2 real samples" in printed
    assert Diagnosis.read(tmp_path / "found" / "diagnosis.json").real


def test_classes_and_conditions_are_taken_in_turn(folder, tmp_path, capsys):
    found = []
    for classes in ((3, 7), (7, 3)):
        given = ("diagnose", folder, *SMALL, "--most", 1, "--classes", *classes)
        assert run(capsys, *given, "--out", tmp_path)[0] == 0
        found.append(Diagnosis.read(tmp_path / "diagnosis.json"))
    assert found[0] != found[1]
    model = lively(fpdm.network("mlp", in_channels=2, width=8, condition_size=3))
    pipeline(model).save_pretrained(tmp_path / "told")
    np.save(tmp_path / "told.npy", np.ones((1, 3), np.float32))
    given = ("diagnose", tmp_path / "told", *SMALL, "--conditions", tmp_path / "told.npy")
    code, printed, error = run(capsys, *given, "--out", tmp_path)
    assert code == 0, error
    assert "2 samples" in printed


def test_real_samples_of_another_shape_are_refused(folder, tmp_path, capsys):
    code, _, error = run(capsys, "diagnose", folder, *SMALL, "--data", "emoji", "--out", tmp_path)
    assert code == 2
    assert "must be a tensor of (B, 1, 8, 8)" in error


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--evals", 0), "evals=0: must be a whole number"),
        (("--num", 0), "num=0"),
        (("--most", 0), "most=0"),
        (("--tol", -1), "tol=-1.0: must be a number > 0"),
        (("--guidance-scale", -1), "guidance_scale=-1.0"),
        (("--solvers", "andersen"), "Did you mean 'anderson'"),
        (("--solvers",), "--solvers"),
        (("--inits", "reuse", "reuse"), "reuse is given twice"),
        (("--device", "abacus"), "PyTorch cannot compute there"),
        (("--data", "nowhere/at/all"), "there is no such file or folder"),
        (("--budget", 3), "cannot pay for 4 steps"),
        (("--classes", 11), "11"),
        (("--classes", "--most", 1), "--classes: must be followed by"),
        (("--conditions", "none.npy"), "none.npy"),
        (("--classes", 1, "--data", "digits"), "--classes, --data: give one of them"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_before_anything_is_written(
    folder, tmp_path, capsys, given, said
):
    out = tmp_path / "found"
    pairs = zip(SMALL[::2], SMALL[1::2], strict=True)
    rest = [each for pair in pairs if pair[0] not in given for each in pair]
    code, printed, error = run(capsys, "diagnose", folder, *rest, *given, "--out", out)
    assert code == 2
    assert said in " ".join(error.split())
    assert not printed
    assert not out.exists()


def test_an_explicit_network_and_a_file_in_the_way_are_refused(folder, tmp_path, capsys):
    pipeline(lively(tiny_dit(**SIZE, depth=2))).save_pretrained(tmp_path / "dit")
    code, _, error = run(capsys, "diagnose", tmp_path / "dit", "--budget", 8, "--out", tmp_path)
    assert code == 2
    assert "A DiT has no implicit layer" in error
    (tmp_path / "file").write_text("keep")
    code, _, error = run(capsys, "diagnose", folder, *SMALL, "--out", tmp_path / "file")
    assert code == 2
    assert "is a file" in error
    assert (tmp_path / "file").read_text() == "keep"


def test_without_matplotlib_there_is_no_picture_and_a_remark(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fpdm.runtime.plotting.can_plot", lambda: False)
    code, _, remarks = run(capsys, "diagnose", folder, *SMALL, "--most", 1, "--out", tmp_path)
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["diagnosis.json"]
    assert "matplotlib" in remarks


def test_points_are_diagnosed_too(tmp_path, capsys):
    torch.manual_seed(0)
    model = lively(fpdm.network("mlp", in_channels=2, width=8))
    pipeline(model).save_pretrained(tmp_path / "points")
    code, printed, _ = run(
        capsys, "diagnose", tmp_path / "points", *SMALL, "--out", tmp_path / "found"
    )
    assert code == 0
    assert "MLP: 16 block passes" in printed
