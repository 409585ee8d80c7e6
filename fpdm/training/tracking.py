"""Writing down what a training does: JSON lines always, and trackers where they are asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from accelerate import Accelerator
from accelerate.tracking import filter_trackers, get_available_trackers
from PIL import Image

from fpdm.errors import InvalidValueError, MissingDependencyError
from fpdm.runtime import storage
from fpdm.training.config import TrainConfig
from fpdm.training.progress import Progress
from fpdm.training.reading import flatten, unstructure_config

LOG = "log.jsonl"


class Log:
    """The log of a run: a line of JSON for a step.

    Args:
        path: the file; it is made if it does not exist.
        since: steps done; what is there of later ones, from before an interruption, is left out.
    """

    def __init__(self, path: Path, *, since: int) -> None:
        kept = [line for line in read_log(path) if line["step"] <= since]
        with storage.written_file(path) as beside:
            beside.write_text("".join(map(_line, kept)), encoding="utf-8")
        self._path = path
        self._file = path.open("ab", buffering=0)

    def write(self, figures: dict[str, Any]) -> None:
        """Append a line, or nothing.

        Args:
            figures: by name, with a whole number `step`; inf and NaN are written as texts.

        Raises:
            StorageError: it cannot be written.
        """
        line, end = _line(figures).encode(), self._file.seek(0, os.SEEK_END)
        with storage.naming(self._path):
            try:
                while line:
                    line = line[self._file.write(line) :]
            except OSError:
                self._file.truncate(end)
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(figures: dict[str, Any]) -> str:
    finite = {
        key: str(value) if isinstance(value, float) and value - value != 0 else value
        for key, value in figures.items()  # JSON has neither inf nor NaN
    }
    return json.dumps(finite, allow_nan=False) + "\n"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; none if there is no such file. A torn last line is left out.

    Args:
        path: of the log.
    """
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def start_trackers(accelerator: Accelerator, config: TrainConfig, folder: Path) -> None:
    """Start the trackers that the configuration names.

    Args:
        accelerator: of the training.
        config: of the training.
        folder: where trackers may write.

    Raises:
        MissingDependencyError: one is not installed.
        InvalidValueError: one does not start.
    """
    wanted = config.tracking.trackers
    if not wanted:
        return
    there = {str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()}
    if missing := ", ".join(name for name in wanted if name not in there):
        raise MissingDependencyError(
            f"tracking.trackers: {missing} is not installed: pip install {missing}, or leave it "
            f"out."
        )
    accelerator.project_configuration.set_directories(str(folder))
    accelerator.log_with = filter_trackers(wanted, str(folder))
    try:
        said = flatten(unstructure_config(config))
        plain = {k: v if isinstance(v, (int, float)) else str(v) for k, v in said.items()}
        accelerator.init_trackers("fpdm", config=plain)
    except Exception as error:  # of many libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InvalidValueError(f"tracking.trackers={wanted}: does not start: {reason}") from error


@contextmanager
def tracked(folder: Path) -> Iterator[None]:
    """A context in which trackers write.

    Args:
        folder: where they may write, which is named where they cannot.

    Raises:
        StorageError: they cannot.
    """
    with storage.naming(folder, beside=folder):
        yield


def log_picture(accelerator: Accelerator, picture: Image.Image, step: int) -> None:
    """Give a picture to the trackers that take pictures.

    Args:
        accelerator: of the training.
        picture: of samples.
        step: steps done.
    """
    pixels = np.asarray(picture.convert("RGB"))[None]  # (1, H, W, 3)
    for tracker in accelerator.trackers:
        if hasattr(tracker, "log_images"):  # one of them asks in which order the dimensions are
            order = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({"samples": pixels}, step=step, **order)


def figures(progress: Progress) -> dict[str, Any]:
    """What is written down of a step.

    Args:
        progress: what the training said of the step.
    """
    return attrs.asdict(progress)
