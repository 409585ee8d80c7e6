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

from attrs import frozen

from fpdm.errors import InvalidValueError, TrainingWarning
from fpdm.runtime import storage

MANIFEST = "manifest.json"
FORMAT = 1
DIGITS = 7


@frozen
class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: holds one folder for each, `0001000` and so on.
        keep: how many are kept, the newest; 0 keeps all.
    """

    folder: Path
    keep: int = 0

    def write(self, step: int, fill: Callable[[Path], None]) -> Path:
        """Write the checkpoint of a step, and then remove the oldest beyond those kept.

        Args:
            step: steps done.
            fill: puts its files into the folder that it is given.

        Returns:
            The folder of the checkpoint.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{step:0{DIGITS}d}"
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
        self._remove_oldest()
        return target

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, whole or not, from the first on."""
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir() if path.is_dir()]
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole; None if there is none at all.

        Raises:
            InvalidValueError: there are checkpoints, and none of them is whole.

        Warns:
            TrainingWarning: a newer one is not whole, and is passed over.
        """
        found = [self.folder / f"{step:0{DIGITS}d}" for step in reversed(self.steps())]
        for path in found:
            try:
                check(path)
            except InvalidValueError as error:
                warnings.warn(f"{error} It is passed over.", TrainingWarning, stacklevel=2)
            else:
                return path
        if found:
            raise InvalidValueError(
                f"{self.folder}: none of its {len(found)} checkpoints is whole; begin anew in "
                f"another folder."
            )
        return None

    def _remove_oldest(self) -> None:
        for step in self.steps()[: -self.keep or 0] if self.keep else []:
            storage.remove(self.folder / f"{step:0{DIGITS}d}")


def check(path: Path) -> int:
    """Compare the files of a checkpoint with its manifest.

    Args:
        path: the folder of the checkpoint.

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
        if file.stat().st_size != size or storage.sha256(file) != digest:
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
