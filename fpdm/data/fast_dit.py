"""Latents as the feature extraction of fast-DiT leaves them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fpdm.checks import check_whole
from fpdm.data.dataset import Batch, Dataset, LatentSpace, Shape
from fpdm.data.paths import existing_folder
from fpdm.data.samples import samples
from fpdm.errors import InvalidValueError

CHANNELS = 4
SCALING_FACTOR = 0.18215
"""Of the autoencoder of Stable Diffusion 1 and 2, whose latents fast-DiT stores scaled."""
MOST_CLASSES = 2**20
"""A label beyond is damage, rather than a class."""


class FastDiT(Dataset):
    """Latents and labels in one `.npy` file each, paired by the names of the files.

    `root` holds one folder whose name ends in `_features` and one in `_labels`, such as
    `imagenet256_features` and `imagenet256_labels`. A feature is a latent of the autoencoder of
    Stable Diffusion times 0.18215, (1, 4, h, h) or (4, h, h); a label is (1,) or (). Nothing but
    numbers is read: a file that holds a pickle is refused, and no code in it runs.

    Args:
        root: the folder.
        num_classes: how many classes there are; None reads every label, and counts up to the
            largest.

    Raises:
        InvalidValueError: there are no such folders, a feature has no label or a label no feature;
            or, from `batch` too, a file does not hold what it should. The message names it.
    """

    name: ClassVar[str] = "fast-dit"

    def __init__(self, root: str | os.PathLike[str], *, num_classes: int | None = None) -> None:
        if num_classes is not None:
            check_whole("num_classes", num_classes, minimum=1, maximum=MOST_CLASSES)
        self.root = existing_folder(root)
        self._features = _only_folder(self.root, "_features")
        self._labels = _only_folder(self.root, "_labels")
        self._files = _paired(self._features, self._labels)
        self.size = _read_feature(self._features / self._files[0]).shape[-1]
        self.num_classes = num_classes or self._count_classes()

    @property
    def shape(self) -> Shape:
        """The sizes that a network takes from it."""
        space = LatentSpace(vae=None, scaling_factor=SCALING_FACTOR)
        return Shape(CHANNELS, self.size, self.num_classes, latent_space=space)

    def __len__(self) -> int:
        return len(self._files)

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Read samples, in the order of the names of their files; nothing is drawn."""
        asked = samples(indices, seeds, size=len(self))
        latents = torch.empty(len(indices), CHANNELS, self.size, self.size)
        labels = torch.empty(len(indices), dtype=torch.int64)
        for row, (index, _) in enumerate(asked):
            latents[row] = self._feature(self._files[index])
            labels[row] = _read_label(self._labels / self._files[index], self.num_classes)
        return Batch(latents, labels)

    def _count_classes(self) -> int:
        return 1 + max(_read_label(self._labels / file, MOST_CLASSES) for file in self._files)

    def _feature(self, file: str) -> Tensor:
        feature = _read_feature(self._features / file)
        if feature.shape[-1] != self.size:
            raise InvalidValueError(
                f"{self._features / file} is {feature.shape[-1]} wide, and {self._files[0]} "
                f"{self.size}: all must have one size."
            )
        return feature


def _only_folder(root: Path, ending: str) -> Path:
    found = sorted(path.name for path in root.glob(f"*{ending}") if path.is_dir())
    if len(found) != 1:
        raise InvalidValueError(
            f"{root} holds {', '.join(found) or 'nothing'} that ends in {ending}: must hold one "
            f"folder that ends in _features and one that ends in _labels."
        )
    return root / found[0]


def _paired(features: Path, labels: Path) -> list[str]:
    """The names of the files that both folders hold, in order."""
    of_features, of_labels = _names(features), _names(labels)
    for there, folder, missing in (
        (features, labels, of_features - of_labels),
        (labels, features, of_labels - of_features),
    ):
        if missing:
            shown = ", ".join(sorted(missing)[:5])
            raise InvalidValueError(
                f"{len(missing)} of the files in {there} are missing in {folder}, such as {shown}."
            )
    if not of_features:
        raise InvalidValueError(f"{features} holds no .npy file.")
    return sorted(of_features)


def _names(folder: Path) -> set[str]:
    try:
        return {name for name in os.listdir(folder) if name.endswith(".npy") and name[0] != "."}
    except OSError as error:
        raise InvalidValueError(f"{folder} cannot be listed: {error.strerror}.") from error


def _read_feature(path: Path) -> Tensor:
    """A latent, (4, h, h), float32."""
    array = _read_array(path)
    shape = array.shape[1:] if array.ndim == 4 and len(array) == 1 else array.shape
    if array.dtype.kind != "f" or len(shape) != 3 or shape[0] != CHANNELS or shape[1] != shape[2]:
        raise InvalidValueError(
            f"{path} holds {array.dtype} of shape {array.shape}: a feature must be floating point "
            f"numbers of shape (1, {CHANNELS}, h, h) or ({CHANNELS}, h, h)."
        )
    with np.errstate(over="ignore"):
        feature = torch.from_numpy(array.astype(np.float32).reshape(shape))
    if not feature.isfinite().all():
        raise InvalidValueError(f"{path} holds inf or NaN; extract this feature again.")
    return feature


def _read_label(path: Path, classes: int) -> int:
    array = _read_array(path)
    if array.dtype.kind not in "iu" or array.shape not in ((), (1,)):
        raise InvalidValueError(
            f"{path} holds {array.dtype} of shape {array.shape}: a label must be one whole number, "
            f"of shape (1,) or ()."
        )
    label = int(array.item())
    if not 0 <= label < classes:
        raise InvalidValueError(f"{path} holds the label {label}: must be from 0 to {classes - 1}.")
    return label


def _read_array(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    """Read an array of numbers, and nothing else that may be in a file."""
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # a damaged file fails in many ways
        raise InvalidValueError(
            f"{path} is no .npy file of numbers, or is damaged; extract this file again."
        ) from error
