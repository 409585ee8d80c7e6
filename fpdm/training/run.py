"""A training in a folder: what it leaves there, and how it goes on from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch

from fpdm.errors import InvalidValueError, StorageError
from fpdm.runtime import processes, storage
from fpdm.runtime.locks import in_use_together
from fpdm.training.checkpoints import Checkpoints, read_json
from fpdm.training.config import TrainConfig
from fpdm.training.environment import environment
from fpdm.training.folder import (
    CHECKPOINTS,
    CONFIG,
    ENVIRONMENT,
    SAMPLES,
    UNREADABLE,
    check_others,
    discard,
    is_run,
)
from fpdm.training.loop import Training
from fpdm.training.progress import Progress
from fpdm.training.reading import unstructure_config
from fpdm.training.samples import draw_samples
from fpdm.training.signals import EXIT_CODES, Signals, Stopped
from fpdm.training.state import Captured, keep_options, refuse_another, restore
from fpdm.training.tracking import LOG, Log, figures, log_picture, start_trackers, tracked
from fpdm.training.unreadable import Unreadable, gathered


class Run:
    """A training that keeps checkpoints, a log and pictures of samples in a folder.

    Iterating it trains from the newest whole checkpoint on, or from the beginning if there is none,
    and ends with the pipeline of the averaged weights in the folder. Whenever it is killed, it goes
    on from there as if nothing had happened: on a CPU with as many threads, to the last bit.

    While it begins, and while it is iterated, nobody else may use the folder.

    Args:
        training: at its beginning.
        folder: where all of it goes; it may hold an earlier part of the same run.
        overwrite: whether to remove a run that is there, and begin anew.

    Attributes:
        resumed: the step from which it goes on; 0 if from the beginning.
        notes: what is otherwise than in the part before, or than in the trained network that it
            begins with, in sentences; the log has them too.

    Raises:
        InvalidValueError: the folder holds a run of another configuration, the message says in
            which keys; or checkpoints of which none is whole; or other things that have the names
            of what a run writes.
        StorageError: another process uses the folder, or it cannot be written.

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

    def __init__(self, training: Training, folder: Path | str, *, overwrite: bool = False) -> None:
        self.training, self.folder = training, (folder := Path(folder))
        self.main = training.accelerator.is_main_process
        self.checkpoints = Checkpoints(folder / CHECKPOINTS, keep=training.config.checkpoints.keep)
        self.notes: tuple[str, ...] = ()
        with in_use_together(folder, processes()):
            self._begin(overwrite=overwrite)
        self.resumed, self._unsaid = training.step, bool(self.notes)
        self._newest = self._last()
        self._unreadable = Unreadable(folder / UNREADABLE)

    @property
    def config(self) -> TrainConfig:
        """That of the training."""
        return self.training.config

    def __iter__(self) -> Iterator[Progress]:
        """Train, yielding each step.

        Raises:
            Stopped: SIGTERM or SIGINT came; there is a checkpoint of the last step.
            StorageError: another process uses the folder, or has gone on with the run; or something
                cannot be written. The last checkpoint is whole.
            TrainingError: as of [`Training`][fpdm.training.Training].
        """
        with in_use_together(self.folder, processes()):
            if self._last() != self._newest:
                raise StorageError(
                    f"{self.folder}: another process has gone on with this run since it was "
                    f"opened: open it again.",
                    path=self.folder,
                )
            self._describe()
            yield from self._train()

    def _train(self) -> Iterator[Progress]:
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
        unreadable = gathered(self.training.unreadable)
        if self.main:
            self._unreadable.add(unreadable)
            self.checkpoints.write(self.training.step, captured.write)
        self.training.accelerator.wait_for_everyone()
        self._newest = self._last()

    def _begin(self, *, overwrite: bool) -> None:
        training = self.training
        if overwrite or not self.checkpoints.steps():
            self._start(overwrite=overwrite)
        if self.main:
            check_others(self.folder)
            if overwrite:
                discard(self.folder)
            for place in (self.folder, self.checkpoints.folder):
                storage.clear_temporary(place)
        training.accelerator.wait_for_everyone()
        self._take_over()
        latest = self.checkpoints.latest()
        if latest is not None:
            self.notes += restore(training, latest)
        with tracked(self.folder):
            start_trackers(training.accelerator, self.config, self.folder)
        self._describe()
        training.accelerator.wait_for_everyone()

    def _start(self, *, overwrite: bool) -> None:
        """Put in the weights to begin with, before anything is removed."""
        start = self.config.start_from
        if overwrite and start is not None and is_run(self.folder):
            here = self.folder.resolve()
            if here in (Path(start).resolve(), *Path(start).resolve().parents):
                raise InvalidValueError(
                    f"start_from={start!r}: is in the run that is to be removed; begin in another "
                    f"folder."
                )
        self.training.start()
        self.notes += self.training.notes

    def _describe(self) -> None:
        """Write down what the run is of, and what runs it."""
        if not self.main:
            return
        plain = {
            CONFIG: unstructure_config(self.config),
            ENVIRONMENT: environment(processes=self.training.accelerator.num_processes),
        }
        for name, content in plain.items():
            with storage.written_file(self.folder / name) as beside:
                beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def _last(self) -> int | None:
        """The step of the newest checkpoint in the folder."""
        return max(self.checkpoints.steps(), default=None)

    def _take_over(self) -> None:
        """Look at what the folder says of itself, before a checkpoint is read."""
        path = self.folder / CONFIG
        if path.exists() and self.checkpoints.steps():
            saved = read_json(path)
            self.notes += keep_options(self.training, saved)
            refuse_another(self.training, {"config": saved}, self.folder, data=False)

    def _write_down(self, progress: Progress, log: Log | None) -> None:
        tracking, step = self.config.tracking, progress.step
        last = step == self.config.steps
        asked = progress.spectral_radius is not None
        if step % tracking.every == 0 or last or progress.skipped or asked:
            known = {**figures(progress), "unreadable_files": len(self.training.unreadable)}
            if log is not None:
                self._unreadable.add(self.training.unreadable)
                log.write(known | ({"notes": list(self.notes)} if self._unsaid else {}))
                self._unsaid = False
            if tracking.trackers:
                numbers = {k: v for k, v in known.items() if v is not None and k != "step"}
                with tracked(self.folder):
                    self.training.accelerator.log(numbers, step=step)
        if tracking.samples_every and (step % tracking.samples_every == 0 or last):
            self._draw(step)

    def _draw(self, step: int) -> None:
        pipe = self.training.pipeline()
        if not self.main:
            return
        pipe.to(self.training.accelerator.device)
        picture = draw_samples(pipe, self.config, self.training.data, title=f"step {step}")
        if picture is None:
            return
        folder = self.folder / SAMPLES
        with storage.naming(folder):
            folder.mkdir(exist_ok=True)
        with storage.written_file(folder / f"{step:07d}.png") as beside:
            picture.save(beside, format="PNG")
        with tracked(self.folder):
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
            pipe.save_pretrained(self.folder)
        self.training.accelerator.wait_for_everyone()
        with tracked(self.folder):
            self.training.accelerator.end_training()
