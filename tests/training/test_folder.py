"""What of a folder is a run's, what stays, and whose the folder is."""

import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import attrs
import pytest
from PIL import Image

from fpdm.errors import InvalidValueError, StorageError, TrainingWarning
from fpdm.runtime.storage import sha256
from fpdm.training import CheckpointsConfig, OptimizerConfig, Run, Training
from fpdm.training.folder import CHECKPOINTS, CONFIG, discard, is_run
from fpdm.training.loop import learning_rate_curve
from fpdm.training.tracking import LOG, read_log
from tests.commands import run
from tests.data.pictures import image_folder
from tests.runtime.full import tree
from tests.training.runs import TINY, config, finish

SMALL = [
    *(
        "train",
        "digits",
        "--set",
        "steps=2",
        "--set",
        "batch_size=4",
        "--set",
        "model.hidden_size=8",
    ),
    *("--set", "model.num_heads=2", "--set", "tracking.samples_every=0", "--out"),
]
MINE = ("model/notes.txt", "samples/holiday.png", "checkpoints/best/weights", "vae/config.txt")
DONE = config(steps=2, checkpoints=CheckpointsConfig(every=1, keep=0))


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    finish(folder, DONE)
    return folder


@pytest.fixture
def copied(done, tmp_path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))


def put(folder: Path, *names: str) -> dict[str, bytes]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"mine")
    return dict.fromkeys(names, b"mine")


# only what is ours is removed


@pytest.mark.parametrize(
    "name",
    [
        *("model/weights.bin", "samples/a.png", "checkpoints/0000001/a", "scheduler/a", "vae/a"),
        *("log.jsonl", "model_index.json", "training.json", "environment.json", "pipeline.py"),
    ],
)
def test_a_folder_that_is_no_run_is_never_overwritten(name, tmp_path, capsys):
    there = put(tmp_path / "out", name, "other/thing")
    code, _, error = run(capsys, *SMALL, tmp_path / "out", "--overwrite")
    assert code == 2
    assert f"holds {name.split('/')[0]}, and no run" in error
    assert tree(tmp_path / "out") == there
    with pytest.raises(InvalidValueError, match="and no run"):
        Run(Training(DONE), tmp_path / "out")
    discard(tmp_path / "out")
    assert tree(tmp_path / "out") == there


def test_a_configuration_of_something_else_makes_no_run(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps({"steps": 3, "lr": 1}))
    assert not is_run(tmp_path)


def test_overwriting_a_run_leaves_what_is_not_of_it(copied, capsys):
    mine = put(copied, *MINE, "precious.txt", "checkpoints/0000009/mine")
    assert run(capsys, *SMALL, copied, "--overwrite")[0] == 0
    after = tree(copied)
    assert mine.items() <= after.items()
    assert json.loads((copied / CONFIG).read_text())["batch_size"] == 4
    discard(copied)
    assert tree(copied) == mine


def test_what_a_link_leads_to_is_not_removed_with_it(copied, tmp_path):
    elsewhere = put(tmp_path / "elsewhere", "mine")
    (copied / "samples").symlink_to(tmp_path / "elsewhere")
    (copied / CHECKPOINTS / "0000099").symlink_to(tmp_path / "elsewhere")
    discard(copied)
    assert tree(tmp_path / "elsewhere") == elsewhere


# the newest whole checkpoint is never removed


def damage(checkpoint: Path) -> None:
    path = checkpoint / "training" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_checkpoints_and_folders_of_others_do_not_count(keep, tmp_path):
    finish(tmp_path, config(steps=4))
    checkpoints = tmp_path / CHECKPOINTS
    for step in (3, 4):
        damage(checkpoints / f"000000{step}")
    mine = put(checkpoints, "0000008/a", "0000009/a", "9/a", "best/a", "notes.txt")
    (checkpoints / "0000007").mkdir()
    kept = config(steps=4, checkpoints=CheckpointsConfig(every=1, keep=keep))
    with pytest.warns(TrainingWarning, match="passed over"):
        again = Run(Training(kept), tmp_path)
    assert again.resumed == 2
    damaged = tree(checkpoints / "0000004")
    assert next(iter(again)).step == 3
    left = sorted(path.name for path in checkpoints.iterdir() if path.is_dir())
    whole = ["0000003"] if keep == 1 else ["0000002", "0000003"]
    assert left == sorted([*whole, *("0000004", "0000007", "0000008", "0000009", "9", "best")])
    assert tree(checkpoints / "0000004") == damaged
    assert mine.items() <= tree(checkpoints).items()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        assert Run(Training(kept), tmp_path).resumed == 3


def test_a_checkpoint_never_takes_the_place_of_what_is_none(tmp_path):
    mine = put(tmp_path / CHECKPOINTS, "0000002/a")
    (tmp_path / CONFIG).write_text(json.dumps(attrs.asdict(DONE)))
    with pytest.raises(StorageError, match="0000002 holds what is no checkpoint"):
        finish(tmp_path, DONE)
    assert mine.items() <= tree(tmp_path / CHECKPOINTS).items()
    assert (tmp_path / CHECKPOINTS / "0000001").is_dir()


# one process uses a folder


HOLD = """
import sys, time
from pathlib import Path
from fpdm.runtime.locks import in_use
with in_use(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_no_command_writes_into_a_folder_that_another_process_uses(copied, capsys):
    command = [sys.executable, "-c", HOLD, str(copied)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = tree(copied)
        for tokens in (
            [*SMALL, copied, "--overwrite"],
            [*SMALL, copied, "--resume"],
            ["sample", "-n", "2", "--budget", "12", "--out", copied],
        ):
            code, _, error = run(capsys, *tokens)
            said = error.splitlines()[-1]
            assert (code, f"{copied} is in use by process {process.pid} on" in said) == (2, True)
        assert tree(copied) == before
        process.kill()
    assert run(capsys, *SMALL, copied, "--overwrite")[0] == 0


def test_two_trainings_of_one_process_do_not_share_a_folder(tmp_path):
    first = iter(Run(Training(DONE), tmp_path))
    next(first)
    with pytest.raises(StorageError, match=f"in use by process {os.getpid()}, which is this one"):
        Run(Training(DONE), tmp_path)
    assert [progress.step for progress in first] == [2]
    assert Run(Training(DONE), tmp_path).resumed == 2


def test_a_run_that_another_has_gone_on_with_is_opened_again(tmp_path):
    early, late = Run(Training(DONE), tmp_path), Run(Training(DONE), tmp_path)
    for _ in late:
        pass
    with pytest.raises(StorageError, match="another process has gone on with this run"):
        next(iter(early))


def test_two_threads_that_encode_into_one_folder(tmp_path):
    from fpdm.data import encode
    from tests.data.pictures import tiny_vae

    images, said = image_folder(tmp_path / "images"), []
    options = {"vae": tiny_vae(), "image_size": 8, "shard_size": 4}
    first = encode(images, tmp_path / "out", **options)
    next(first)

    def second():
        try:
            list(encode(images, tmp_path / "out", **options))
        except StorageError as error:
            said.append(str(error))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join()
    assert "is in use by process" in said[0]
    assert len(list(first)) == 2


# a run is made longer


def test_a_run_is_made_longer_and_says_what_becomes_of_the_learning_rate(copied):
    longer = attrs.evolve(DONE, steps=5)
    again = Run(Training(longer), copied)
    (note,) = again.notes
    assert note.startswith("steps: 2 before, 5 now, 2 done; the learning rate falls until step 5")
    rates = [progress.learning_rate for progress in again]
    curve = learning_rate_curve(longer.optimizer, 5)
    peak = longer.optimizer.learning_rate
    assert rates == [peak * curve(step) for step in (2, 3, 4)]
    lines = read_log(copied / LOG)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line.get("notes") for line in lines] == [None, None, [note], None, None]
    assert Run(Training(longer), copied).notes == ()


def test_the_rate_may_stay_where_it_has_ended(tmp_path):
    optimizer = OptimizerConfig(warmup_steps=1, final_learning_rate=0.1)
    short = attrs.evolve(DONE, optimizer=optimizer)
    finish(tmp_path, short)
    tail = attrs.evolve(optimizer, decay_steps=2)
    again = Run(Training(attrs.evolve(short, steps=4, optimizer=tail)), tmp_path)
    assert (
        "the learning rate comes to its end at step 2 as before, and is 1e-05 then"
        in again.notes[0]
    )
    assert [progress.learning_rate for progress in again] == pytest.approx([1e-5, 1e-5])


def test_a_run_is_not_made_shorter_than_what_is_done(copied):
    before = tree(copied / CHECKPOINTS)
    short = attrs.evolve(DONE, steps=1)
    with pytest.raises(InvalidValueError, match="2 steps are done, and steps=1: must be at least"):
        Run(Training(short), copied)
    assert tree(copied / CHECKPOINTS) == before


def test_what_may_change_is_in_the_message(copied):
    other = attrs.evolve(DONE, seed=1)
    with pytest.raises(InvalidValueError) as caught:
        Run(Training(other), copied)
    said = str(caught.value)
    assert "seed (0 there, 1 here)" in said
    assert "what may change is steps, optimizer.decay_steps, checkpoints, guards, tracking" in said


# classes by numbers, and files that cannot be read


def numbers(root: Path, names: tuple[str, ...] = ("2", "10", "8")) -> Path:
    for index, name in enumerate(names):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (80 * index, 0, 0)).save(root / name / "a.png")
    return root


def on(root: Path, **options):
    data = {"kind": "image-folder", "root": str(root), "size": 8, **options}
    return config(steps=2, data=data, model=TINY | {"network": "dit", "depth": 1})


def test_a_training_says_which_classes_are_called_by_other_numbers(tmp_path):
    with pytest.warns(TrainingWarning, match="class 0 is called '2', class 1 is called '8', class"):
        Training(on(numbers(tmp_path)))


def test_a_run_that_was_begun_with_another_order_keeps_it(tmp_path):
    numbers(tmp_path / "data", ("a10", "a9"))
    old = on(tmp_path / "data", order="text")
    next(iter(Run(Training(old), tmp_path / "run")))
    for path in (tmp_path / "run").rglob("*.json"):  # as they were before there was the option
        said = json.loads(path.read_text())
        for table in (said, said.get("config", {})):
            if isinstance(table.get("data"), dict):
                table["data"].pop("order", None)
        path.write_text(json.dumps(said))
    checkpoint = tmp_path / "run" / CHECKPOINTS / "0000001"
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    for name in manifest["files"]:
        path = checkpoint / name
        manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    again = Run(Training(on(tmp_path / "data")), tmp_path / "run")
    assert again.resumed == 1
    assert again.training.data.shape.class_names == {0: "a10", 1: "a9"}
    assert again.notes[0] == 'data.order stays "text", with which the run was begun.'
    for _ in again:
        pass
    index = json.loads((tmp_path / "run" / "model_index.json").read_text())
    assert index["id2label"] == {"0": "a10", "1": "a9"}
    assert Run(Training(on(tmp_path / "data")), tmp_path / "run").resumed == 2


def test_files_that_cannot_be_read_are_told_and_listed(tmp_path):
    root = numbers(tmp_path / "data", ("a", "b"))
    bad = [root / "a" / f"{index}.png" for index in range(5)]
    for path in bad:
        path.write_bytes(b"no image")
    with pytest.warns(TrainingWarning, match="of the data cannot be read") as caught:
        for _ in Run(Training(on(root)), tmp_path / "run"):
            pass
    said = [str(warning.message) for warning in caught]
    assert str(bad[0]) in said[0]
    assert len(said) <= 3
    listed = (tmp_path / "run" / "unreadable.txt").read_text().splitlines()
    assert listed == sorted(map(str, bad))


@pytest.mark.filterwarnings("ignore::fpdm.errors.TrainingWarning")
def test_a_file_is_one_line_of_what_cannot_be_read_whatever_it_is_called(tmp_path):
    root = numbers(tmp_path / "data", ("a", "b"))
    for name in ("new\nline.png", "\u2028.png", "b,\u00e9.png"):
        (root / "a" / name).write_bytes(b"no image")
    for steps in (2, 4):
        with pytest.warns(TrainingWarning) as caught:
            for _ in Run(Training(attrs.evolve(on(root), steps=steps)), tmp_path / "run"):
                pass
        assert not any("\n" in str(warning.message) for warning in caught)
        lines = (tmp_path / "run" / "unreadable.txt").read_text("utf-8").split("\n")
        assert lines == [
            repr(f"{root}/a/\u2028.png"),
            repr(f"{root}/a/new\nline.png"),
            f"{root}/a/b,\u00e9.png",
            "",
        ]
