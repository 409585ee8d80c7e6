"""The checkpoints of a run: written whole or not at all, and checked before they are believed.

A checkpoint is a folder named by its step. Beside the files of the training it holds the pipeline
of the averaged weights, so that it can be sampled from. Its manifest, with the size and SHA-256 of
every file, is what makes it whole.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import field, frozen

from fpdm.errors import InvalidValueError, StorageError, TrainingWarning
from fpdm.runtime import storage

MANIFEST = "manifest.json"
FORMAT = 1
DIGITS = 7
INNER = "training"
"""The folder in a checkpoint that holds what is not of its pipeline."""


@frozen(eq=False)
class Checkpoints:
    """The checkpoints in a folder; what else is in it is not looked at, and stays.

    Args:
        folder: holds one folder for each, `0001000` and so on.
        keep: how many whole ones are kept, the newest; 0 keeps all.
    """

    folder: Path
    keep: int = 0
    _whole: set[int] = field(factory=set, init=False, repr=False)
    """Steps whose checkpoints were compared with their checksums, or written, by this process."""

    def path(self, step: int) -> Path:
        """The folder of a checkpoint.

        Args:
            step: steps done.
        """
        return self.folder / f"{step:0{DIGITS}d}"

    def write(self, step: int, fill: Callable[[Path], None]) -> Path:
        """Write the checkpoint of a step, and then remove the oldest whole ones beyond those kept.

        Args:
            step: steps done.
            fill: puts its files into the folder that it is given.

        Returns:
            The folder of the checkpoint.

        Raises:
            StorageError: it cannot be written, or its name is taken by what is no checkpoint; the
                others are as they were.
        """
        target = self.path(step)
        if storage.things(target) and not _is_ours(target):
            raise StorageError(
                f"{target} holds what is no checkpoint: move it, and go on with --resume.",
                path=target,
            )
        with storage.naming(target):
            self.folder.mkdir(parents=True, exist_ok=True)
        with storage.written_folder(target) as beside:
            fill(beside)
            files = {
                path.relative_to(beside).as_posix(): {
                    "bytes": path.stat().st_size,
                    "sha256": storage.sha256(path),
                }
                for path in sorted(beside.rglob("*"))
                if path.is_file()
            }
            manifest = {"format": FORMAT, "step": step, "files": files}
            (beside / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        self._whole.add(step)
        self._remove_oldest()
        return target

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, whole or not, from the first on."""
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir() if path.is_dir()]
        steps = sorted(int(name) for name in names if name.isascii() and name.isdigit())
        return [
            step for step in steps if self.path(step).name in names and _is_ours(self.path(step))
        ]

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole; None if there is none at all.

        Raises:
            InvalidValueError: there are checkpoints, and none of them is whole.

        Warns:
            TrainingWarning: a newer one is not whole, and is passed over.
        """
        found = self.steps()
        for step in reversed(found):
            try:
                check(self.path(step))
            except InvalidValueError as error:
                warnings.warn(f"{error} It is passed over.", TrainingWarning, stacklevel=2)
            else:
                self._whole.add(step)
                return self.path(step)
        if found:
            raise InvalidValueError(
                f"{self.folder}: none of its {len(found)} checkpoints is whole; begin anew in "
                f"another folder."
            )
        return None

    def _remove_oldest(self) -> None:
        """A damaged one does not count, and stays: it never takes the place of a whole one."""
        if not self.keep:
            return
        kept = 0
        for step in reversed(self.steps()):
            if kept >= self.keep and self._is_whole(step):
                storage.remove(self.path(step))
                self._whole.discard(step)
            elif kept < self.keep:
                kept += self._is_whole(step)

    def _is_whole(self, step: int) -> bool:
        try:
            check(self.path(step), sizes=step in self._whole)
        except InvalidValueError:
            return False
        self._whole.add(step)
        return True


def _is_ours(path: Path) -> bool:
    """Whether a folder is a checkpoint, be it a damaged one."""
    return (path / MANIFEST).is_file() or (path / INNER).is_dir()


def check(path: Path, *, sizes: bool = False) -> int:
    """Compare the files of a checkpoint with its manifest.

    Args:
        path: the folder of the checkpoint.
        sizes: whether to look at sizes alone, and read nothing.

    Returns:
        Its step.

    Raises:
        InvalidValueError: it is not whole; the message says which file is not as it was written.
    """
    manifest = read_json(path / MANIFEST)
    try:
        step, files = manifest["step"], dict(manifest["files"])
        listed = [(str(name), entry["bytes"], entry["sha256"]) for name, entry in files.items()]
        known = manifest["format"] == FORMAT and isinstance(step, int)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidValueError(f"{path / MANIFEST} is damaged: {error!r}.") from error
    if not known:
        raise InvalidValueError(f"{path} is of a format that this version cannot read.")
    for name, size, digest in listed:
        file = path / name
        if not file.is_file():
            raise InvalidValueError(f"{path} is not whole: {name} is missing.")
        if file.stat().st_size != size or not (sizes or storage.sha256(file) == digest):
            raise InvalidValueError(f"{path} is not whole: {name} is not as it was written.")
    return step


def read_json(path: Path) -> Any:
    """Read a JSON object.

    Args:
        path: of the file.

    Returns:
        The object, a `dict`.

    Raises:
        InvalidValueError: there is no such file, or it holds none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"is damaged: {error}"
        raise InvalidValueError(f"{path} {' '.join(str(reason).split())}.") from error
    if not isinstance(value, dict):
        raise InvalidValueError(f"{path} is damaged: it holds no JSON object.")
    return value
