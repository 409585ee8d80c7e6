"""A run survives what may happen to it, and is the same however it is cut and shared."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import attrs
import pytest
import torch
from safetensors.torch import load_file

from fpdm.data import LabelledImages
from fpdm.errors import (
    InvalidValueError,
    MissingDependencyError,
    TrainingError,
    TrainingWarning,
)
from fpdm.training import Run, TrainConfig, Training
from fpdm.training.checkpoints import Checkpoints
from fpdm.training.config import (
    CheckpointsConfig,
    EngineConfig,
    FPDiTConfig,
    GuardsConfig,
    ImageFolderData,
    TrackingConfig,
)
from fpdm.training.run import CHECKPOINTS
from fpdm.training.signals import Stopped
from fpdm.training.tracking import LOG, read_log
from tests.training import killed, shared

TINY = FPDiTConfig(patch_size=4, hidden_size=8, num_heads=2)
WEIGHTS = Path("model", "diffusion_pytorch_model.safetensors")


def config(**changes) -> TrainConfig:
    base = TrainConfig(
        steps=6,
        batch_size=8,
        model=TINY,
        checkpoints=CheckpointsConfig(every=1, keep=0),
        tracking=TrackingConfig(every=1, samples_every=0),
    )
    return attrs.evolve(base, **changes)


def finish(folder: Path, config: TrainConfig = config()) -> None:  # noqa: B008
    for _ in Run(Training(config), folder):
        pass


def newest(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the newest checkpoint."""
    last = max((folder / CHECKPOINTS).iterdir())
    return {
        f"{path.name}/{name}": value
        for path in sorted(last.rglob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


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


def test_a_run_killed_at_twenty_moments_ends_like_one_never_killed(tmp_path):
    def script(folder: Path, kills: int) -> int:
        command = [sys.executable, killed.__file__, str(folder), "0", str(kills)]
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
    other = config(batch_size=16, model=attrs.evolve(TINY, hidden_size=16))
    with pytest.raises(InvalidValueError) as caught:
        Run(Training(other), uninterrupted)
    assert "batch_size (8 there, 16 here), model.hidden_size (8 there, 16 here)" in str(
        caught.value
    )
    free = config(tracking=TrackingConfig(every=3), engine=EngineConfig(gradient_accumulation=2))
    assert Run(Training(free), uninterrupted).resumed == 6


def spoiled(start: int, stop: int) -> Training:
    from fpdm.data import digits

    real = digits()
    data = LabelledImages(real.images.clone(), real.labels, 10)
    training = Training(config(guards=GuardsConfig(max_skipped=3), steps=8), data=data)
    step = training._step

    def spoil(share, began):
        if start <= training.step < stop:
            share = share._replace(clean=share.clean * torch.nan)
        return step(share, began)

    training._step = spoil
    return training


def test_a_step_that_is_not_finite_is_left_out_and_counted(tmp_path):
    with pytest.warns(TrainingWarning, match="step 3 was left out"):
        steps = list(Run(spoiled(2, 4), tmp_path))
    assert [progress.skipped for progress in steps] == [False, False, True, True, *[False] * 4]
    assert all(torch.isfinite(value).all() for value in load_file(tmp_path / WEIGHTS).values())
    assert [line["skipped"] for line in read_log(tmp_path / LOG)].count(True) == 2


def test_after_too_many_the_run_stops_with_its_checkpoints_whole(tmp_path):
    run = Run(spoiled(2, 8), tmp_path)
    with (
        pytest.warns(TrainingWarning),
        pytest.raises(TrainingError, match=r"Step 5: .* in 3 steps in a row"),
    ):
        list(run)
    assert run.checkpoints.steps()[:2] == [1, 2]
    assert all(torch.isfinite(value).all() for value in newest(tmp_path).values())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_after_its_step_with_a_checkpoint(number, code, tmp_path):
    rare = config(checkpoints=CheckpointsConfig(every=100))
    run = iter(Run(Training(rare), tmp_path))
    next(run)
    os.kill(os.getpid(), number)
    next(run)
    with pytest.raises(Stopped, match="after step 2") as caught:
        next(run)
    assert caught.value.exit_code == code
    assert Run(Training(rare), tmp_path).resumed == 2


def test_large_residuals_are_warned_of_once():
    strict = config(guards=GuardsConfig(max_residual=1e-6), steps=60, batch_size=2)
    with pytest.warns(TrainingWarning, match="beyond guards.max_residual=1e-06") as caught:
        list(Training(strict))
    assert len(caught) == 1
    assert "damp" in str(caught[0].message)


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


def test_pictures_of_samples_and_a_log_are_there_to_look_at(tmp_path):
    from PIL import Image

    finish(tmp_path, config(tracking=TrackingConfig(every=2, samples_every=3, samples_budget=6)))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "0000003.png",
        "0000006.png",
    ]
    with Image.open(tmp_path / "samples" / "0000003.png") as picture:
        assert picture.width > 200
    line = read_log(tmp_path / LOG)[-1]
    assert {"loss", "residual_before", "residual", "no_grad_evals", "grad_evals"} <= line.keys()
    assert {"gradient_norm", "images_per_second", "memory_bytes"} <= line.keys()
    assert 0 <= line["no_grad_evals"] <= 10
    assert 1 <= line["grad_evals"] <= 12


def test_parts_of_a_batch_add_up_to_the_batch():
    whole, parts = (
        Training(config(engine=EngineConfig(gradient_accumulation=count), steps=1))
        for count in (1, 4)
    )
    norms = [next(iter(training)).gradient_norm for training in (whole, parts)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.parametrize("engine", [{"precision": "bf16"}, {"gradient_checkpointing": True}])
def test_engines_train(engine, tmp_path):
    finish(tmp_path, config(engine=EngineConfig(**engine), steps=2))
    assert all(value.dtype == torch.float32 for value in load_file(tmp_path / WEIGHTS).values())


def test_two_processes_have_the_gradients_of_one(tmp_path):
    found = {}
    for name, processes, sharding in (("one", 1, "none"), ("ddp", 2, "none"), ("fsdp", 2, "fsdp")):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [sys.executable, *(launcher if processes > 1 else []), shared.__file__]
        file = tmp_path / f"{name}.safetensors"
        subprocess.run(
            [*command, str(file), sharding],
            check=True,
            capture_output=True,
            timeout=120,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        found[name] = load_file(file)
    for key, one in found["one"].items():
        assert one.norm() > 0, key
        for together in ("ddp", "fsdp"):
            assert (found[together][key] - one).norm() <= 1e-6 * one.norm(), (together, key)


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_processes_train_like_one(sharding, tmp_path):
    settings = ["--set", "steps=200", "--set", "batch_size=8", "--set", "model.hidden_size=8"]
    settings += ["--set", "model.num_heads=2", "--set", "model.patch_size=4"]
    settings += ["--set", "tracking.samples_every=0", "--set", "tracking.every=1"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    logs = []
    for name, launch, more in (
        ("one", [], []),
        ("two", launcher, ["--set", f"engine.sharding={sharding}"]),
    ):
        command = [sys.executable, *launch, "-m", "fpdm", "train", "digits", *settings, *more]
        subprocess.run(
            [*command, "--out", str(tmp_path / name)],
            check=True,
            capture_output=True,
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        logs.append(read_log(tmp_path / name / LOG))
    assert [len(log) for log in logs] == [200, 200]
    for one, two in zip(*logs, strict=True):
        counts = ("no_grad_evals", "grad_evals", "learning_rate")
        assert [one[key] for key in counts] == [two[key] for key in counts]
    assert logs[0][0]["gradient_norm"] == pytest.approx(logs[1][0]["gradient_norm"], rel=1e-6)
    assert logs[0][0]["loss"] == pytest.approx(logs[1][0]["loss"], rel=1e-6)
    assert logs[0][-1]["loss"] == pytest.approx(logs[1][-1]["loss"], rel=1e-3)


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
        data=ImageFolderData(str(tmp_path / "pictures"), size=32),
        model=attrs.evolve(TINY, patch_size=8),
        engine=EngineConfig(workers=1),
    )
    finish(tmp_path / "run", sizes)
    pipe = fpdm.FPDMPipeline.from_pretrained(tmp_path / "run")
    pipe.set_progress_bar_config(disable=True)
    assert pipe.labels == {"blue": 0, "green": 1, "red": 2}
    images = pipe(["red", 2], budget=12).images
    assert [(image.mode, image.size) for image in images] == [("RGB", (32, 32))] * 2


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_counts_drawn_at_random_compile_nothing_anew(monkeypatch):
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module: compile_module(module, backend=counter)
    )
    steps = iter(Training(config(engine=EngineConfig(compile=True), steps=30)))
    counts = {(next(steps).no_grad_evals, next(steps).grad_evals) for _ in range(4)}
    compiled = counter.frame_count
    assert compiled > 0
    counts |= {(step.no_grad_evals, step.grad_evals) for step in steps}
    assert len(counts) > 10
    assert counter.frame_count == compiled


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_program_ends_as_it_was_asked_and_goes_on(number, code, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "fpdm", "train", "digits", "--out", str(out), "--resume"]
    command += ["--set", "steps=100000", "--set", "batch_size=4", "--set", "model.hidden_size=8"]
    command += ["--set", "model.num_heads=2", "--set", "model.patch_size=4"]
    command += ["--set", "tracking.every=1", "--set", "tracking.samples_every=0"]
    resumed = 0
    for _ in range(2):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
            while len(read_log(out / LOG)) < resumed + 3:
                assert program.poll() is None, program.stderr.read()
                time.sleep(0.05)
            program.send_signal(number)
            said = program.stderr.read()
        assert program.returncode == code
        assert "Go on with: --resume" in said
        assert f"going on from step {resumed}" in said or not resumed
        resumed = max(Checkpoints(out / CHECKPOINTS).steps())
        assert resumed >= 3


def test_a_tracker_is_given_what_the_log_is(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracking = TrackingConfig(
        every=1, trackers=["tensorboard"], samples_every=6, samples_budget=6, samples=4
    )
    finish(tmp_path, config(tracking=tracking))
    events = EventAccumulator(str(tmp_path / "fpdm"))
    events.Reload()
    log = read_log(tmp_path / LOG)
    seen = [event.value for event in events.Scalars("loss")]
    assert seen == pytest.approx([line["loss"] for line in log])
    assert {"residual", "residual_before", "grad_evals"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["samples"]


def test_a_tracker_that_is_not_installed_is_named(tmp_path):
    wanted = config(tracking=TrackingConfig(trackers=["clearml"]))
    with pytest.raises(MissingDependencyError, match="clearml is not installed: pip install"):
        Run(Training(wanted), tmp_path)
