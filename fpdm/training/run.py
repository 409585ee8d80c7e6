"""A training in a folder: what it leaves there, and how it goes on from it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from fpdm.errors import InvalidValueError
from fpdm.runtime import storage
from fpdm.training.checkpoints import Checkpoints, read_json
from fpdm.training.environment import environment
from fpdm.training.loop import Training
from fpdm.training.progress import Progress
from fpdm.training.reading import unstructure_config
from fpdm.training.samples import draw_samples
from fpdm.training.signals import EXIT_CODES, Signals, Stopped
from fpdm.training.state import Captured, refuse_another, restore
from fpdm.training.tracking import LOG, Log, figures, log_picture, start_trackers

CHECKPOINTS, CONFIG, ENVIRONMENT, SAMPLES = (
    *("checkpoints", "training.json", "environment.json", "samples"),
)
INDEX = "model_index.json"
OURS = (CHECKPOINTS, CONFIG, ENVIRONMENT, SAMPLES, LOG, INDEX, "model", "scheduler", "vae")


class Run:
    """A training that keeps checkpoints, a log and pictures of samples in a folder.

    Iterating it trains from the newest whole checkpoint on, or from the beginning if there is none,
    and ends with the pipeline of the averaged weights in the folder. Whenever it is killed, it goes
    on from there as if nothing had happened: on a CPU with as many threads, to the last bit.

    Args:
        training: at its beginning.
        folder: where all of it goes; it may hold an earlier part of the same run.

    Attributes:
        resumed: the step from which it goes on; 0 if from the beginning.

    Raises:
        InvalidValueError: the folder holds a run of another configuration, the message says in
            which keys; or checkpoints of which none is whole.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fpdm.training import Run, TrainConfig, Training
        >>> folder = Path(tempfile.mkdtemp())
        >>> config = TrainConfig(steps=2, batch_size=4)
        >>> [progress.step for progress in Run(Training(config), folder)]
        [1, 2]
        >>> Run(Training(config), folder).resumed
        2
    """

    def __init__(self, training: Training, folder: Path) -> None:
        self.training, self.folder = training, folder
        self.config = training.config
        self.main = training.accelerator.is_main_process
        self.checkpoints = Checkpoints(folder / CHECKPOINTS, keep=self.config.checkpoints.keep)
        self._begin()
        self.resumed = training.step

    def __iter__(self) -> Iterator[Progress]:
        """Train, yielding each step.

        Raises:
            Stopped: SIGTERM or SIGINT came; there is a checkpoint of the last step.
            TrainingError: as of [`Training`][fpdm.training.Training].
        """
        log = Log(self.folder / LOG, since=self.training.step) if self.main else None
        saved = self.training.step
        try:
            with Signals() as signals:
                for progress in self.training:
                    self._write_down(progress, log)
                    signal = self._agree(signals.received)
                    due = progress.step % self.config.checkpoints.every == 0
                    if due or signal or progress.step == self.config.steps:
                        self.save_checkpoint()
                        saved = progress.step
                    yield progress
                    if signal and progress.step < self.config.steps:
                        raise Stopped(
                            f"stopped after step {saved}, with a checkpoint of it.",
                            EXIT_CODES[signal],
                        )
                self._finish()
        finally:
            if log is not None:
                log.close()

    def save_checkpoint(self) -> None:
        """Save a checkpoint of the training as it is now; all processes have to call it."""
        captured = Captured(self.training)
        if self.main:
            self.checkpoints.write(self.training.step, captured.write)
        self.training.accelerator.wait_for_everyone()

    def _begin(self) -> None:
        training = self.training
        if self.main:
            self.folder.mkdir(parents=True, exist_ok=True)
            for place in (self.folder, self.checkpoints.folder):
                storage.clear_temporary(place)
        training.accelerator.wait_for_everyone()
        self._refuse_another()
        latest = self.checkpoints.latest()
        if latest is not None:
            restore(training, latest)
        start_trackers(training.accelerator, self.config, self.folder)
        if self.main:
            plain = {
                CONFIG: unstructure_config(self.config),
                ENVIRONMENT: environment(processes=training.accelerator.num_processes),
            }
            for name, content in plain.items():
                with storage.written_file(self.folder / name) as beside:
                    beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        training.accelerator.wait_for_everyone()

    def _refuse_another(self) -> None:
        """Look at what the folder says of itself, before there is a checkpoint in it."""
        path = self.folder / CONFIG
        if path.exists() and not self.checkpoints.steps():
            return
        if path.exists():
            refuse_another(self.training, {"config": read_json(path)}, self.folder, data=False)

    def _write_down(self, progress: Progress, log: Log | None) -> None:
        tracking, step = self.config.tracking, progress.step
        last = step == self.config.steps
        if step % tracking.every == 0 or last or progress.skipped:
            unreadable = len(self.training.unreadable)
            known = {**figures(progress), "unreadable_files": unreadable}
            if log is not None:
                log.write(known)
            if tracking.trackers:
                numbers = {k: v for k, v in known.items() if v is not None and k != "step"}
                self.training.accelerator.log(numbers, step=step)
        if tracking.samples_every and (step % tracking.samples_every == 0 or last):
            self._draw(step)

    def _draw(self, step: int) -> None:
        pipe = self.training.pipeline()
        if not self.main:
            return
        pipe.to(self.training.accelerator.device)
        picture = draw_samples(pipe, self.config, title=f"step {step}")
        if picture is None:
            return
        folder = self.folder / SAMPLES
        folder.mkdir(exist_ok=True)
        with storage.written_file(folder / f"{step:07d}.png") as beside:
            picture.save(beside, format="PNG")
        log_picture(self.training.accelerator, picture, step)

    def _agree(self, received: int) -> int:
        """The signal that any process has received, so that all stop after the same step."""
        accelerator = self.training.accelerator
        if accelerator.num_processes == 1:
            return received
        number = torch.tensor([received], device=accelerator.device)
        return int(accelerator.gather(number).max())

    def _finish(self) -> None:
        pipe = self.training.pipeline()
        if self.main:
            save_pipeline(pipe, self.folder)
        self.training.accelerator.wait_for_everyone()
        self.training.accelerator.end_training()


def save_pipeline(pipe: Any, folder: Path) -> None:
    """Save a pipeline into the folder of a run; its index, which makes it whole, comes last.

    Args:
        pipe: the pipeline.
        folder: of the run, which is there.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=storage.TEMPORARY) as beside:
        pipe.save_pretrained(beside)
        parts = sorted(Path(beside).iterdir(), key=lambda path: path.name == INDEX)
        storage.remove(folder / INDEX)
        for part in parts:
            storage.remove(folder / part.name)
            part.rename(folder / part.name)


def discard(folder: Path) -> None:
    """Remove what an earlier run has left in a folder, and nothing else.

    Args:
        folder: of the run, which may be missing.
    """
    for name in OURS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Check that a run may write to a folder.

    Args:
        folder: where to.
        resume: whether it is to go on with the run that is there.
        overwrite: whether what is there may be removed.

    Raises:
        InvalidValueError: it may not; the message says what to add to the command.
    """
    if resume and overwrite:
        raise InvalidValueError("--resume with --overwrite: must be one of them.")
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"{folder} is a file: must be a folder, or nothing yet.")
    there = any(folder.iterdir()) if folder.exists() else False
    if resume and there and not (folder / CONFIG).exists():
        raise InvalidValueError(f"{folder} holds no run to go on with; choose another --out.")
    if there and not resume and not overwrite:
        advice = "add --resume to go on with it, " if (folder / CONFIG).exists() else ""
        raise InvalidValueError(
            f"{folder} already exists: {advice}choose another --out, or add --overwrite."
        )
