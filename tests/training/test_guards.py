"""A run ends as it was asked, and by itself where going on makes no sense."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from fpdm.data import LabelledImages
from fpdm.errors import TrainingError, TrainingWarning
from fpdm.training import Run, Training
from fpdm.training.checkpoints import Checkpoints
from fpdm.training.config import CheckpointsConfig, GuardsConfig
from fpdm.training.run import CHECKPOINTS
from fpdm.training.signals import Stopped
from fpdm.training.tracking import LOG, read_log
from tests.training.runs import WEIGHTS, config, newest


def spoiled(start: int, stop: int) -> Training:
    from fpdm.data import digits

    real = digits()
    data = LabelledImages(real.images.clone(), real.labels, 10)
    training = Training(config(guards=GuardsConfig(max_skipped=3), steps=8), data=data)
    step = training._step

    def spoil(share, *rest):
        if start <= training.step < stop:
            share = share._replace(clean=share.clean * torch.nan)
        return step(share, *rest)

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
