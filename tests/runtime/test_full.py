"""A full disk: whatever is being written, one sentence names it, and what was there is whole."""

import pytest

import fpdm
from fpdm.cli.app import main
from fpdm.data import encode
from fpdm.errors import StorageError
from fpdm.training import Run, Training
from fpdm.training.checkpoints import Checkpoints
from fpdm.training.run import CHECKPOINTS
from fpdm.training.tracking import LOG, Log, read_log
from tests.commands import run
from tests.data.pictures import image_folder, tiny_vae
from tests.drawing.folders import ALIKE
from tests.runtime.full import full_beyond, tree
from tests.training.runs import config

PICTURE = ["sample", "--classes", "3", "--budget", "12", "--steps", "3", "--out"]


def whole(printed: str) -> str:
    assert printed.count("\n") == 1, printed
    return printed


@pytest.mark.parametrize("limit", [0, 10, 300])
def test_a_picture_that_was_there_stays(limit, tmp_path, capsys):
    out = tmp_path / "x.png"
    assert run(capsys, *PICTURE, out)[0] == 0
    before = tree(tmp_path)
    with full_beyond(limit):
        code, _, error = run(capsys, *PICTURE, out)
    assert code == 2
    assert f"fpdm: {out} cannot be written: File too large" in error.splitlines()[-1]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("limit", [0, 100])
def test_a_folder_of_samples_goes_on_when_there_is_room(limit, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["sample", *ALIKE, "-n", "4", "--out", out]
    with full_beyond(limit):
        code, _, error = run(capsys, *command)
    assert code == 2
    assert "cannot be written: File too large" in error.splitlines()[-1]
    assert str(out) in error.splitlines()[-1]
    assert not [name for name in (tree(out) if out.exists() else {}) if ".writing" in name]
    assert run(capsys, *command)[0] == 0
    assert len(list(out.glob("*.png"))) == 4


@pytest.mark.parametrize("limit", [0, 300, 3_000, 300_000])
def test_a_training_ends_with_one_sentence_and_whole_checkpoints(limit, tmp_path):
    small = config(steps=4)
    first = Run(Training(small), tmp_path)
    for progress in first:
        if progress.step == 2:
            break
    before = tree(tmp_path / CHECKPOINTS)
    said = None
    try:
        with full_beyond(limit):
            for _ in Run(Training(small), tmp_path):
                pass
    except StorageError as error:
        said = str(error)
    assert (said is None) == (limit == 300_000)
    if said is not None:
        assert said.startswith(str(tmp_path))
        assert "cannot be written: File too large; make room, and run it again." in said
    after = tree(tmp_path)
    assert not [name for name in after if ".writing" in name or ".fpdm-lock" in name]
    assert before.items() <= tree(tmp_path / CHECKPOINTS).items()
    checkpoints = Checkpoints(tmp_path / CHECKPOINTS)
    assert checkpoints.latest() is not None
    assert [line["step"] for line in read_log(tmp_path / LOG)]
    run_again = Run(Training(small), tmp_path)
    for _ in run_again:
        pass
    assert [line["step"] for line in read_log(tmp_path / LOG)] == [1, 2, 3, 4]


def test_a_line_of_the_log_is_there_whole_or_not(tmp_path):
    log = Log(tmp_path / LOG, since=0)
    log.write({"step": 1})
    with full_beyond(20), pytest.raises(StorageError, match=r"log\.jsonl cannot be written"):
        log.write({"step": 2, "loss": 0.5})
    log.write({"step": 3})
    log.close()
    assert [line["step"] for line in read_log(tmp_path / LOG)] == [1, 3]
    assert (tmp_path / LOG).read_text().count("\n") == 2


@pytest.mark.parametrize("limit", [0, 3_000])
def test_a_pipeline_and_a_network_that_were_there_stay(limit, tmp_path):
    pipe = fpdm.FPDMPipeline.digits()
    for name, saved in (("pipe", pipe), ("network", pipe.model)):
        saved.save_pretrained(tmp_path / name)
        before = tree(tmp_path)
        with full_beyond(limit), pytest.raises(StorageError, match=f"{name} cannot be written"):
            saved.save_pretrained(tmp_path / name)
        assert tree(tmp_path) == before


@pytest.mark.parametrize("limit", [100, 1_000])
def test_an_encoding_goes_on_when_there_is_room(limit, tmp_path):
    images = image_folder(tmp_path / "images")
    options = {"vae": tiny_vae(), "image_size": 8, "batch_size": 4, "shard_size": 4}
    with full_beyond(limit), pytest.raises(StorageError, match="cannot be written"):
        list(encode(images, tmp_path / "out", **options))
    assert list(encode(images, tmp_path / "out", **options))


def test_a_package_of_a_plugin_is_written_or_not(tmp_path, capsys):
    out = tmp_path / "out"
    with full_beyond(100):
        code, _, error = run(capsys, "new-plugin", "heavy-ball", "--out", out)
    assert code == 2
    assert f"{out} cannot be written: File too large" in whole(error)
    assert list(tmp_path.iterdir()) == []


def test_what_is_printed_into_a_full_disk_is_told(monkeypatch, capsys):
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(SystemExit) as stop:
            main(["train", "--print-config"])
    assert stop.value.code == 2
    assert "Standard output cannot be written: No space left" in capsys.readouterr().err
