"""Details of the commands: what is empty, absurd, the wrong way round, or said to nobody."""

import numpy as np
import pytest

import fpdm
from fpdm.cli import picture, progress
from tests.cli.test_cli import TINY, size
from tests.commands import run


def whole(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train", ""], "There is no file or configuration ''"),
        (["train", "--out", ""], "--out: '' names no file and no folder."),
        (["sample", "--out", ""], "--out: '' names no file"),
        (["sample", "--model", ""], "--model: '' names no file"),
        (["demo", "--out", ""], "--out: '' names no file"),
        (["convert", "", "target"], "'' names no file"),
        (["encode", "source", "", "--vae", "x"], "'' names no file"),
        (["new-plugin", "mine", "--out", ""], "--out: '' names no file"),
        (["sample", "--classes"], "--classes: must be followed by a number or a name"),
        (["sample", "--classes", "--budget", "24"], "--classes: must be followed by"),
        (["sample", "--classes", ""], "class_labels: ''"),
        (["train", "--set"], "--set"),
        (["new-plugin", "mine", "--kind"], "--kind"),
        (["sample", "--guidance-interval", "0.5"], "--guidance-interval"),
        (["sample", "--guidance-scale", "1e39"], "guidance_scale=1e+39: must be a number"),
        (["sample", "--guidance-scale", "nan"], "guidance_scale=nan: must be a number"),
        (["sample", "--guidance-scale", "inf"], "guidance_scale=inf: must be a number"),
        (["sample", "--guidance-scale", "-1"], "guidance_scale=-1.0: must be a number ≥ 0"),
        (["sample", "--guidance-scale", "much"], "--guidance-scale"),
        (["sample", "--steps", "0"], "num_inference_steps=0"),
        (["sample", "--steps", "-5"], "num_inference_steps=-5"),
        (["sample", "--steps", "1000000000"], "num_inference_steps=1000000000"),
        (["sample", "--steps", "1" + "0" * 30], "num_inference_steps=1000"),
        (["sample", "--budget", "0"], "budget=0"),
        (["sample", "--batch-size", "0", "--out", "many"], "batch_size=0"),
        (["sample", "--seed", str(2**64)], f"seed={2**64}"),
        (["sample", "--seed", "-1", "--out", "many"], "seed=-1"),
        (["sample", "--num", "-3", "--out", "many"], "num=-3"),
        (["sample", "--out", "a-folder.png"], "is a folder; must be a file"),
        (["sample", "--out", "a-file"], "is a file: must be a folder"),
        (["sample", "--out", "a-file/a.png"], "there is no folder a-file"),
        (["sample", "--out", "a-file/many"], "a-file"),
        (["sample", "--model", "a-file"], "--model a-file: must be a folder"),
        (["sample", "--device", ""], "PyTorch cannot compute there"),
        (["sample", "--scheduler", ""], "No scheduler"),
        (["sample", "--solver", ""], "No solver is named ''"),
        (["demo", "--seed", str(2**64)], "seed="),
        (["demo", "--out", "a-folder.png"], "is a folder; must be a file"),
        (["train", "a-folder.png"], "There is no file or configuration 'a-folder.png'"),
        (["train", *TINY, "--out", "a-file"], "a-file is a file"),
        (["train", *TINY, "--out", "a-file/run"], "a-file"),
        (["encode", "a-file", "target", "--vae", "no-vae"], "a-file: is a file, not a folder"),
        (["encode", "no-such", "target", "--vae", "no-vae"], "no-such: there is no such folder"),
        (["encode", "a-folder.png", "a-file", "--vae", "no-vae"], "no-vae"),
        (["evaluate", "", "--reference", "digits"], "'' names no file, no folder and no data set."),
        (["evaluate", "a-file", "--reference", "digits"], "a-file cannot be read as an .npz"),
        (["evaluate", "digits", "--reference", "a-folder.png"], "a-folder.png holds no image"),
        (["evaluate", "digits", "--reference", "digits", "--json", ""], "--json: '' names no file"),
        (["convert", "a-folder.png", "target"], "a-folder.png"),
        (["convert", "a-file", "a-file"], "a-file already exists"),
        (["convert", "a-file", "target", "--id2label", "a-folder.png"], "a-folder.png"),
        (["new-plugin", "mine", "--out", "a-file"], "a-file already exists"),
        (["new-plugin", "mine", "--out", "a-file/mine"], "there is no folder a-file"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    command, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-folder.png").mkdir()
    (tmp_path / "a-file").write_text("mine")
    code, printed, error = run(capsys, *command)
    assert (code, printed) == (2, "")
    assert message in whole(error)
    assert len(error.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a-file", "a-folder.png"]
    assert (tmp_path / "a-file").read_text() == "mine"


@pytest.mark.parametrize("options", [(), ("--resume",), ("--overwrite",)])
def test_data_of_which_nothing_can_be_read_leave_no_run_and_lose_none(options, tmp_path, capsys):
    pictures, out = tmp_path / "pictures" / "a", tmp_path / "run"
    pictures.mkdir(parents=True)
    for name in ("a.png", "b.jpg"):
        (pictures / name).write_bytes(b"no picture")
    command = ["train", "--set", "data.kind=image-folder", "--set", f"data.root={pictures.parent}"]
    code, printed, error = run(capsys, *command, *TINY, "--out", out, *options)
    assert (code, printed) == (2, "")
    assert "not one of its 2 images can be read" in error
    assert not out.exists()
    if options == ("--overwrite",):
        run(capsys, "train", *TINY, "--out", out)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert run(capsys, *command, *TINY, "--out", out, *options)[0] == 2
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize(
    "command",
    [
        ("sample", "--budget", 12, "--out", "a.png"),
        ("sample", "--budget", 12, "--num", 4, "--out", "many"),
        ("train", *TINY, "--out", "run"),
        ("demo", "--num", 100, "--out", "demo.png"),
        ("plugins",),
    ],
    ids=lambda command: "-".join(map(str, command[:1] + command[-1:])),
)
def test_quiet_says_nothing_beside_results(command, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fpdm.cli.demo, "BUDGETS", (24,))
    command = ("--quiet", *command) if place == "before" else (*command, "--quiet")
    code, printed, error = run(capsys, *command)
    assert (code, error) == (0, "")
    assert printed


def test_quiet_samples_ones_own_model_and_errors_are_told(tmp_path, capsys):
    model, out = tmp_path / "model", tmp_path / "a.png"
    fpdm.FPDMPipeline.digits().save_pretrained(model)
    capsys.readouterr()
    command = ("sample", "--model", model, "--out", out, "--quiet", "--budget")
    assert run(capsys, *command, 12)[::2] == (0, "")
    code, printed, error = run(capsys, *command, 1)
    assert (code, printed) == (2, "")
    assert "budget=1 cannot pay" in error


@pytest.mark.parametrize("total", [1, 3, 20, 999, 100_000])
@pytest.mark.parametrize("by", ["iterating", "updating", "late"])
def test_a_bar_that_nobody_sees_move_has_few_lines(total, by, capsys):
    if by == "iterating":
        for _ in progress.bar(iterable=range(total), desc="name", unit="step"):
            pass
    else:
        with progress.bar(desc="name", unit="step", total=None if by == "late" else total) as bar:
            for _ in range(total):
                bar.total = total
                bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= progress.LINES + 3
    assert f"{total}/{total}" in lines[-1]
    assert sum(f"{total}/{total}" in line for line in lines) == 1
    assert all(line.startswith("name: ") for line in lines)


def test_a_training_prints_few_lines_however_long(tmp_path, capsys):
    tiny = ["--set", "steps=90", "--set", "batch_size=2", *TINY[4:]]
    code, _, error = run(capsys, "train", *tiny, "--out", tmp_path / "run")
    assert code == 0
    assert len(error.splitlines()) <= 26
    assert "\r" not in error


@pytest.fixture
def thousand(tmp_path):
    """An untrained model of 1000 classes, some of which have names, and 64 pixels."""
    model = fpdm.FPDiT(
        sample_size=64,
        patch_size=32,
        in_channels=3,
        hidden_size=8,
        num_heads=2,
        num_classes=1000,
        pre_depth=1,
        post_depth=1,
    )
    names = {0: "tench", 500: "cliff dwelling"}
    fpdm.FPDMPipeline(model, fpdm.EvenDDIMScheduler(), id2label=names).save_pretrained(tmp_path)
    return tmp_path


def batches(monkeypatch) -> list[int]:
    """How many images each run draws from now on."""
    sizes: list[int] = []
    original = fpdm.FPDMPipeline.__call__

    def counted(pipe, **options):
        sizes.append(len(options["class_labels"]))
        return original(pipe, **options)

    monkeypatch.setattr(fpdm.FPDMPipeline, "__call__", counted)
    return sizes


def test_a_model_of_many_classes_draws_some_of_them_and_says_so(thousand, capsys, monkeypatch):
    sizes, out = batches(monkeypatch), thousand / "out.png"
    code, printed, error = run(capsys, "sample", "--model", thousand, "--budget", 3, "--out", out)
    assert code == 0
    assert sizes == [picture.MOST_CLASSES]
    assert "the model has 1000 classes: the picture shows 16 of them" in error
    assert "Wrote 16 images" in printed


def test_many_images_of_a_picture_are_drawn_in_several_batches(thousand, capsys, monkeypatch):
    sizes, out = batches(monkeypatch), thousand / "out.png"
    command = ("sample", "--model", thousand, "--budget", 3, "--out", out, "--num", 150)
    code, printed, _ = run(capsys, *command, "--classes", 500, "tench")
    assert code == 0
    assert sizes == [64, 64, 22]
    assert "Wrote 150 images" in printed
    assert size(out)[0] > 10 * 64


@pytest.mark.parametrize(
    ("count", "shown"), [(1, [0]), (10, list(range(10))), (16, list(range(16)))]
)
def test_all_of_a_few_classes_are_shown(count, shown):
    assert picture.classes_to_show(count) == shown


@pytest.mark.parametrize("count", [17, 100, 1000])
def test_of_many_classes_some_are_shown_that_are_spread(count):
    found = picture.classes_to_show(count)
    assert len(set(found)) == len(found) == picture.MOST_CLASSES
    assert max(np.diff(found)) - min(np.diff(found)) <= 1
    assert found[-1] >= count - count // picture.MOST_CLASSES - 1
