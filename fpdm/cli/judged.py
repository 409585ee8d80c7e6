"""What `fpdm evaluate` is given: sets of samples, their labels, and what is known of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fpdm.cli.components import component
from fpdm.errors import InvalidValueError, UnknownNameError, shown

if TYPE_CHECKING:
    from torch import Tensor

    from fpdm.data import Dataset
    from fpdm.evaluation import Gaussian

RECORD = "samples.json"


@frozen(eq=False)
class Judged:
    """A set of samples, and what is known of it.

    Attributes:
        name: as it was given.
        data: the samples, or the statistics of a reference.
        record: what its `samples.json` says; None where there is none.
    """

    name: str
    data: Dataset | Gaussian
    record: dict[str, Any] | None = None

    @property
    def path(self) -> Path | None:
        """Where it lies; None for a data set by name."""
        return Path(self.name) if Path(self.name).exists() else None


def open_samples(name: str, *, size: int | None = None, statistics: bool = False) -> Judged:
    """A folder of images, an `.npz`, or a data set by its name, opened.

    Args:
        name: a path, or `name` or `name:option=value,...` of a data set.
        size: to which images are brought, in pixels; None leaves them.
        statistics: of a file that holds images and statistics, whether to take these.

    Raises:
        InvalidValueError: there is no such thing, it cannot be read, or holds no samples.
        UnknownNameError: there is no data set of this name.
    """
    from fpdm.evaluation import ImageFiles, read_archive

    if not name:
        raise InvalidValueError("'' names no file, no folder and no data set.")
    path = Path(name)
    if path.is_dir():
        return Judged(name, ImageFiles(path, size), _record(path))
    if path.is_file() or path.suffix.lower() == ".npz":
        found = read_archive(path, size=size, statistics=statistics)
        return Judged(name, found, _record(path.with_suffix("")))
    option = name.partition(":")[0]
    if not option or any(mark in option for mark in {"/", os.sep, "."}):
        raise InvalidValueError(f"{shown(name)}: there is no such file or folder.")
    try:
        data: Dataset = component("dataset", name)
    except UnknownNameError as error:
        raise UnknownNameError(f"{name}: there is no such file or folder. {error}") from error
    if data.shape.latent_space is not None:
        raise InvalidValueError(f"{name} holds latents: give the images themselves.")
    return Judged(name, data)


def labels_of(judged: Judged, given: Sequence[str] | None) -> Tensor | None:
    """The class of each sample.

    Args:
        judged: the samples.
        given: numbers in turn, or one file of them, `.npy`; None takes what `samples.json` says.

    Returns:
        (N,), int64; None if nothing says them but the data set itself.

    Raises:
        InvalidValueError: they are no whole numbers, or not one for each sample.
    """
    import torch

    from fpdm.evaluation import ImageFiles

    count = len(judged.data)  # type: ignore[arg-type]
    if given is not None:
        return _given(given, count)
    classes = (judged.record or {}).get("classes")
    if not isinstance(classes, list) or not all(type(each) is int for each in classes):
        return None
    numbers = list(range(count))
    if isinstance(judged.data, ImageFiles):
        stems = [Path(name).stem for name in judged.data.listing.files]
        if not all(stem.isdecimal() for stem in stems):
            return None
        numbers = [int(stem) for stem in stems]
    return torch.tensor([classes[number % len(classes)] for number in numbers]) if classes else None


def _given(words: Sequence[str], count: int) -> Tensor:
    import numpy as np
    import torch

    from fpdm.evaluation.judging import labels_of

    if len(words) == 1 and words[0].endswith(".npy"):
        try:
            return labels_of(np.load(words[0], allow_pickle=False), count)
        except (OSError, ValueError, EOFError, TypeError) as error:
            raise InvalidValueError(f"--labels {words[0]}: {error}") from error
    try:
        classes = [int(part) for part in ",".join(words).split(",") if part.strip()]
    except ValueError:
        classes = []
    if not classes or min(classes) < 0:
        raise InvalidValueError(
            f"--labels {' '.join(words)}: must be whole numbers from 0, in turn, or a .npy file."
        )
    return torch.tensor([classes[index % len(classes)] for index in range(count)])


def _record(folder: Path) -> dict[str, Any] | None:
    """What stands beside images; None if nothing does, or nothing that can be read."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
