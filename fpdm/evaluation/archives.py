"""Archives of images and of statistics, as evaluation programs exchange them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpdm.data.dataset import Dataset
from fpdm.data.tensors import Tensors
from fpdm.errors import InvalidValueError, listed
from fpdm.evaluation.gaussian import Gaussian
from fpdm.evaluation.pairs import rows
from fpdm.evaluation.pictures import ImageArray
from fpdm.runtime.storage import written_file

MEMBER = "arr_0.npy"
BATCH_SIZE = 256


def read_archive(
    path: str | os.PathLike[str], *, size: int | None = None, statistics: bool = False
) -> Dataset | Gaussian:
    """Read an `.npz` of images, of samples of any shape, or of the statistics of features.

    `arr_0`, uint8, (N, H, W, 3), are images, with `arr_1`, (N,), their classes, as the evaluation
    suite of ADM (Dhariwal and Nichol, 2021) has them. `samples`, (N, C, …), are what `fpdm sample
    --out FILE.npz` writes, with `class_labels`. `mu`, (D,), and `sigma`, (D, D), are the mean and
    the covariance of features, as they are published for FID.

    Args:
        path: of the file.
        size: height and width to bring images to; None leaves them as they are.
        statistics: of a file that holds both, whether to take the statistics.

    Returns:
        A data set, or the Gaussian of the statistics.

    Raises:
        InvalidValueError: it cannot be read, holds nothing of these, or samples that are not
            finite.
    """
    arrays = _arrays(Path(path))
    try:
        return _read(arrays, size=size, statistics=statistics)
    except InvalidValueError as error:
        raise InvalidValueError(f"{path}: {error}") from error


def write_archive(data: Dataset, path: str | os.PathLike[str]) -> Path:
    """Write the images of a data set as an `.npz`, `arr_0`, uint8, (N, H, W, 3).

    It is a reference for [`read_archive`][fpdm.evaluation.read_archive], and for the evaluation
    suite of ADM (Dhariwal and Nichol, 2021). Grey images are repeated in three channels, a batch at
    a time is in memory, and the same images make the same bytes.

    Args:
        data: of images in [-1, 1].
        path: the file, which may be there.

    Returns:
        The path.

    Raises:
        InvalidValueError: the data are no images.
        StorageError: it cannot be written.
    """
    if not data.shape.is_picture:
        raise InvalidValueError(
            f"Samples of {data.shape.sample} are no images, (1, H, W) or (3, H, W), as an archive "
            f"holds them."
        )
    target = Path(path)
    _, height, width = data.shape.sample
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(data), height, width, 3)}
    with (
        written_file(target) as beside,
        zipfile.ZipFile(beside, "w") as file,
        file.open(zipfile.ZipInfo(MEMBER), "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        for indices in torch.arange(len(data)).split(BATCH_SIZE):
            images = levels(data.batch(indices, seeds=indices).images).expand(-1, 3, -1, -1)
            member.write(images.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
    return target


def levels(images: Tensor) -> Tensor:
    """Images as levels of brightness from 0 to 255.

    Args:
        images: (B, C, H, W), in [-1, 1]; what lies outside is clipped.

    Returns:
        Shaped like `images`, uint8.
    """
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _read(arrays: dict[str, Any], *, size: int | None, statistics: bool) -> Dataset | Gaussian:
    if {"mu", "sigma"} <= arrays.keys() and (statistics or "arr_0" not in arrays):
        return Gaussian(arrays["mu"], arrays["sigma"])
    if statistics:
        raise InvalidValueError("holds no statistics, mu and sigma: leave --statistics out.")
    if "arr_0" in arrays:
        labels = _labels(arrays.get("arr_1"))
        return ImageArray(arrays["arr_0"], labels, size=size, name="arr_0")
    if "samples" in arrays:
        found = rows("samples", arrays["samples"])  # which says which are not finite
        shape = arrays["samples"].shape
        labels = _labels(arrays.get("class_labels"))
        return Tensors(torch.from_numpy(found).reshape(shape), labels)
    raise InvalidValueError(
        f"holds {listed(sorted(arrays)) or 'nothing'}: must hold arr_0 (images), samples, "
        f"or mu and sigma."
    )


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in _wanted(file)}
    except FileNotFoundError:
        raise InvalidValueError(f"{path}: there is no such file.") from None
    except Exception as error:  # a damaged file fails in many ways
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InvalidValueError(f"{path} cannot be read as an .npz: {said}.") from error


def _wanted(file: Any) -> list[str]:
    """The arrays that are read of a file; all of its names if there is none of them."""
    known = ("arr_0", "arr_1", "samples", "class_labels", "mu", "sigma")
    return [name for name in file.files if name in known] or file.files


def _labels(values: Any) -> Tensor | None:
    if values is None:
        return None
    if values.ndim != 1 or values.dtype.kind not in "iu" or (values.size and values.min() < 0):
        raise InvalidValueError(
            f"classes of {values.dtype}, {values.shape}; must be whole numbers ≥ 0, (N,)."
        )
    return torch.from_numpy(values.astype(np.int64))
