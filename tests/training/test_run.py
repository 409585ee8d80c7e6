"""A run survives what may happen to it, and ends like one to which nothing did."""

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import attrs
import pytest
import torch
from safetensors.torch import load_file

from fpdm.errors import InvalidValueError, TrainingWarning
from fpdm.training import Run, Training
from fpdm.training.config import CheckpointsConfig, EngineConfig, TrackingConfig
from fpdm.training.run import CHECKPOINTS
from fpdm.training.tracking import LOG, read_log
from tests.training.runs import TINY, WEIGHTS, assert_equal, config, finish, newest

KILLED = Path(__file__).parent / "killed.py"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    torch.manual_seed(0)
    finish(folder)
    return folder


@pytest.mark.parametrize("stop", range(1, 6))
def test_a_run_stopped_at_any_step_ends_like_one_never_stopped(stop, uninterrupted, tmp_path):
    torch.manual_seed(0)
    for progress in Run(Training(config()), tmp_path):
        if progress.step == stop:
            break
    torch.rand(100)  # another process has another past
    random.random()
    run = Run(Training(config()), tmp_path)
    assert run.resumed == stop
    for _ in run:
        pass
    assert_equal(newest(tmp_path), newest(uninterrupted))
    assert_equal(load_file(tmp_path / WEIGHTS), load_file(uninterrupted / WEIGHTS))
    assert [line["step"] for line in read_log(tmp_path / LOG)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("names", [[], ["strange"]], ids=["built in", "of a plugin"])
def test_a_run_killed_at_twenty_moments_ends_like_one_never_killed(names, tmp_path):
    def script(folder: Path, kills: int) -> int:
        command = [sys.executable, str(KILLED), str(folder), "0", str(kills), *names]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert script(tmp_path / "whole", 0) == 0
    assert script(tmp_path / "killed", 20) == 20
    assert_equal(newest(tmp_path / "killed"), newest(tmp_path / "whole"))
    left = [path.name for path in (tmp_path / "killed" / CHECKPOINTS).iterdir()]
    assert sorted(left) == ["0000038", "0000040"]


class Killed(BaseException):
    """The process ends here, and nothing of it runs any more."""


def test_whatever_file_operation_a_checkpoint_is_killed_in_none_is_lost(tmp_path, monkeypatch):
    training = Training(config())
    run = Run(training, tmp_path)
    next(iter(run))
    operations = ("fsync", "rename", "replace", "mkdir")
    real = {name: getattr(os, name) for name in operations}

    def count_down(name, left):
        def operation(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real[name](*args, **options)

        return operation

    for allowed in range(200):
        left = [allowed]
        with monkeypatch.context() as patched:
            for name in operations:
                patched.setattr(os, name, count_down(name, left))
            patched.setattr("fpdm.runtime.storage.shutil.rmtree", lambda *_, **__: None)
            training.step = 2
            try:
                run.save_checkpoint()
                break
            except Killed:
                pass
        assert run.checkpoints.latest() in [
            tmp_path / CHECKPOINTS / name for name in ("0000001", "0000002")
        ]
    assert allowed > 10
    assert run.checkpoints.latest() == tmp_path / CHECKPOINTS / "0000002"


def corruptions() -> list[tuple[str, int]]:
    files = ["manifest.json", "model_index.json", "model/config.json", str(WEIGHTS)]
    files += [f"training/{name}" for name in ("state.json", "model.safetensors")]
    files += [f"training/{name}.safetensors" for name in ("optimizer", "random")]
    return [(name, kind) for name in files for kind in range(6)]


@pytest.mark.parametrize(("name", "kind"), corruptions())
def test_a_damaged_checkpoint_is_passed_over(name, kind, uninterrupted, tmp_path):
    import shutil

    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    path = tmp_path / CHECKPOINTS / "0000006" / name
    content = bytearray(path.read_bytes())
    rng = random.Random(kind)
    if kind < 2:
        path.write_bytes(content[: rng.randrange(len(content))])
    elif kind < 4:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
    elif kind == 4:
        path.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")  # a pickle that would run code
    else:
        path.unlink()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    run_training = Training(config())
    if name == "manifest.json" and kind in (2, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingWarning)
            run = Run(run_training, tmp_path)
        assert run.resumed in (5, 6)  # a changed blank is no damage
    else:
        with pytest.warns(TrainingWarning, match="passed over"):
            run = Run(run_training, tmp_path)
        assert run.resumed == 5
    assert not Path("hacked").exists()
    kept = {p: c for p, c in before.items() if CHECKPOINTS in p.parts}
    assert all(p.read_bytes() == c for p, c in kept.items())


def test_where_no_checkpoint_is_whole_the_run_is_refused(uninterrupted, tmp_path):
    import shutil

    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / CHECKPOINTS).rglob("manifest.json"):
        path.unlink()
    training = Training(config())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        with pytest.raises(InvalidValueError, match="none of its 6 checkpoints is whole"):
            Run(training, tmp_path)


def test_a_run_of_another_configuration_is_refused_by_its_keys(uninterrupted):
    other = config(batch_size=16, model=TINY | {"hidden_size": 16})
    with pytest.raises(InvalidValueError) as caught:
        Run(Training(other), uninterrupted)
    assert "batch_size (8 there, 16 here), model.hidden_size (8 there, 16 here)" in str(
        caught.value
    )
    free = config(tracking=TrackingConfig(every=3), engine=EngineConfig(gradient_accumulation=2))
    assert Run(Training(free), uninterrupted).resumed == 6


def test_only_so_many_checkpoints_are_kept(tmp_path):
    finish(tmp_path, config(checkpoints=CheckpointsConfig(every=2, keep=2)))
    assert sorted(path.name for path in (tmp_path / CHECKPOINTS).iterdir()) == [
        "0000004",
        "0000006",
    ]


def test_a_run_says_with_what_it_was_made(uninterrupted):
    said = json.loads((uninterrupted / "environment.json").read_text())
    assert said["packages"]["torch"] == torch.__version__
    assert {"git_revision", "python", "processes", "threads"} <= said.keys()


def test_a_folder_of_coloured_pictures_trains_and_samples_with_labels(tmp_path):
    from PIL import Image

    import fpdm

    rng = random.Random(0)
    for name, colour in (("blue", 2), ("green", 1), ("red", 0)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(100):
            shade = [rng.randrange(60) for _ in range(3)]
            shade[colour] += 180
            picture = Image.new("RGB", (rng.randrange(32, 70), rng.randrange(32, 70)), tuple(shade))
            picture.save(tmp_path / "pictures" / name / f"{index}.png")
    sizes = config(
        steps=3,
        data={"kind": "image-folder", "root": str(tmp_path / "pictures"), "size": 32},
        model=TINY | {"patch_size": 8},
        engine=EngineConfig(workers=1),
    )
    finish(tmp_path / "run", sizes)
    uncached = attrs.evolve(sizes, data=sizes.data | {"cache_bytes": 0})
    assert Run(Training(uncached), tmp_path / "run").resumed == 3
    pipe = fpdm.FPDMPipeline.from_pretrained(tmp_path / "run")
    pipe.set_progress_bar_config(disable=True)
    assert pipe.labels == {"blue": 0, "green": 1, "red": 2}
    images = pipe(["red", 2], budget=12).images
    assert [(image.mode, image.size) for image in images] == [("RGB", (32, 32))] * 2
