"""`fpdm sample --num`: many images from the command line."""

import numpy as np
import pytest

from fpdm.drawing.many import Task
from tests.commands import run
from tests.drawing.folders import ALIKE, CHEAPLY, MANY, everything, names, pngs
from tests.sampling.pipelines import pipeline


def test_the_command_draws_then_goes_on_then_only_archives(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["sample", *ALIKE, "--classes", "3", "1", "--out", out, "--num"]
    code, printed, progress = run(capsys, *command, 10)
    assert code == 0
    assert printed.split("─")[-1].split()[:3] == ["10", "0", "12"]
    assert f"{out} holds 10 images." in printed
    assert "10/10" in progress
    assert "image" in progress
    assert "3/3" not in progress  # timesteps
    code, printed, progress = run(capsys, *command, 12)
    assert printed.split("─")[-1].split()[:3] == ["2", "10", "12"]
    assert "12/12" in progress
    code, printed, _ = run(capsys, *command, 12, "--npz")
    assert code == 0
    assert printed.split("─")[-1].split()[:4] == ["0", "12", "–", "–"]
    assert f"{out}.npz" in printed
    assert np.load(f"{out}.npz")["arr_0"].shape == (12, 8, 8, 3)


def test_without_a_number_each_class_is_drawn_once(tmp_path, capsys):
    out = tmp_path / "out"
    assert run(capsys, "sample", "--budget", 12, "--steps", 3, "--out", out)[0] == 0
    assert list(pngs(out)) == names(10)


def test_an_interrupted_command_exits_130_and_keeps_its_images(tmp_path, capsys, monkeypatch):
    out, original = tmp_path / "out", Task.draw

    def interrupted(task, numbers, **options):
        if 16 in numbers:
            raise KeyboardInterrupt
        return original(task, numbers, **options)

    monkeypatch.setattr(Task, "draw", interrupted)
    code, _, error = run(capsys, "sample", *MANY, "--out", out)
    assert code == 130
    assert "interrupted" in error
    assert "goes on" in error
    assert list(pngs(out)) == names(16)
    monkeypatch.undo()
    assert run(capsys, "sample", *MANY, "--out", out)[0] == 0
    assert list(pngs(out)) == names(37)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["--out", "out", "--budget", "30", "--steps", "20"], "= 60 block passes"),
        (["--out", "out", "--classes", "12"], "[12] out of range"),
        (["--out", "out", "--num", "0"], "num=0: must be a whole number ≥ 1"),
        (["--out", "out", "--batch-size", "0"], "batch_size=0: must be a whole number ≥ 1"),
        (["--out", "picture.jpg"], "must end in .png"),
        (["--out", "samples.npy"], "must end in .png or .npz"),
        (["--out", "samples.npz", "--npz"], "--npz is for a folder of images"),
        (["--npz"], "--npz is for a folder of images: give --out a folder."),
        (["--out", "x.png", "--batch-size", "3"], "--batch-size is for a folder of images"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    command, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    code, _, error = run(capsys, "sample", *command)
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_other_settings_are_one_sentence_and_nothing_is_overwritten(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["sample", *CHEAPLY, "--num", 3, "--out", out]
    run(capsys, *command, "--budget", 12, "--seed", 5)
    before = everything(out)
    code, _, error = run(capsys, *command, "--budget", 24, "--seed", 6)
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    assert "seed (5 there, 6 now), budget (12 there, 24 now)" in error
    assert everything(out) == before


def test_one_picture_is_refused_by_several_processes(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    code, _, error = run(capsys, "sample", "--out", tmp_path / "x.png")
    assert code == 2
    assert "one file is drawn by one process, and 3 are running" in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_has_only_checkpoints_names_the_newest(tmp_path, capsys):
    pipe = pipeline()
    for name in ("0000900", "0002000", "best", "0003000"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        if name != "0003000":
            pipe.save_pretrained(tmp_path / "checkpoints" / name)
    newest = tmp_path / "checkpoints" / "0002000"
    code, _, error = run(capsys, "sample", "--model", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert f"{tmp_path} holds no complete model; its newest checkpoint is {newest}." in error
    assert len(error.strip().splitlines()) == 1
    command = ["sample", "--model", newest, "--budget", 12, "--num", 2, "--out", tmp_path / "out"]
    assert run(capsys, *command)[0] == 0


def test_help_shows_how_many_images_are_drawn(capsys):
    code, printed, _ = run(capsys, "sample", "--help")
    assert code == 0
    examples = printed.partition("Examples")[2]
    assert "fpdm sample --num 50000 --out " in examples
    assert "torchrun" in examples
    for option in ("--num", "--batch-size", "--npz", "--out"):
        assert option in printed
