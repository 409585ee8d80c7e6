"""The folder of a run: what in it is ours, and whether a run may begin in it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from fpdm.errors import InvalidValueError
from fpdm.models import parts
from fpdm.runtime import storage
from fpdm.training.checkpoints import Checkpoints, read_json
from fpdm.training.tracking import LOG

CHECKPOINTS, SAMPLES = "checkpoints", "samples"
CONFIG, ENVIRONMENT, UNREADABLE = "training.json", "environment.json", "unreadable.txt"
PICTURE = re.compile(r"\d{7,}\.png")
"""What pictures of samples are called."""

WRITTEN = (CHECKPOINTS, SAMPLES, CONFIG, ENVIRONMENT, LOG, UNREADABLE, *parts.FILES)
"""The names that a run gives."""

SAID = {"steps", "batch_size", "seed", "data", "model"}
"""What the configuration of a run says in any version."""


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run: its configuration, or checkpoints.

    Args:
        folder: which may be missing.
    """
    return _is_config(folder / CONFIG) or holds_checkpoints(folder)


def holds_checkpoints(folder: Path) -> bool:
    """Whether there are checkpoints of a run in its folder, be they damaged.

    Args:
        folder: of the run, which may be missing.
    """
    return bool(Checkpoints(folder / CHECKPOINTS).steps())


def discard(folder: Path) -> None:
    """Remove what a run has left in its folder, and nothing else.

    A folder that holds no run is left as it is, and what else is in `checkpoints`, `samples` or
    `model` stays there too.

    Args:
        folder: of the run, which may be missing.
    """
    if not is_run(folder):
        return
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    for step in checkpoints.steps():
        storage.remove(checkpoints.path(step))
    for path in (folder / SAMPLES).glob("*.png"):
        if PICTURE.fullmatch(path.name):
            path.unlink()
    for place in (folder / SAMPLES, checkpoints.folder):
        with suppress(OSError):  # something else is in it, or it is a link, or not there
            place.rmdir()
    parts.remove_pipeline(folder)
    for name in (LOG, UNREADABLE, ENVIRONMENT, CONFIG):  # it is a run to the last
        (folder / name).unlink(missing_ok=True)


def check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Check that a run may write to a folder.

    Args:
        folder: where to.
        resume: whether it is to go on with the run that is there.
        overwrite: whether the run that is there may be removed.

    Raises:
        InvalidValueError: it may not; the message says what to add to the command.
    """
    if resume and overwrite:
        raise InvalidValueError("--resume with --overwrite: must be one of them.")
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"{folder} is a file: must be a folder, or nothing yet.")
    there, run = bool(storage.things(folder)), is_run(folder)
    if resume and there and not run:
        raise InvalidValueError(f"{folder} holds no run to go on with; choose another --out.")
    if there and not resume and not overwrite:
        advice = "add --resume to go on with it, " if run else ""
        raise InvalidValueError(
            f"{folder} already exists: {advice}choose another --out, or add --overwrite."
        )
    check_others(folder)


def check_others(folder: Path) -> None:
    """Check that a run would write over nothing but a run.

    Args:
        folder: where to, which may be missing.

    Raises:
        InvalidValueError: the folder holds no run, and what has the name of a part of one.
    """
    if is_run(folder):
        return
    if taken := [name for name in storage.things(folder) if name in WRITTEN]:
        raise InvalidValueError(
            f"{folder} holds {', '.join(taken)}, and no run, so that nothing in it is removed: "
            f"choose another folder, or move what is there."
        )


def _is_config(path: Path) -> bool:
    try:
        return read_json(path).keys() >= SAID
    except InvalidValueError:
        return False
