"""A shard: a safetensors file with the latents and labels of some images.

Its tensors are `latents` (N, C or 2C, h, h), `labels` (N,) and, where they are stored, `flipped`,
which is `latents` of the mirrored images. Moments are 2C channels: the mean, then the logarithm of
the variance. The files that could not be read stand in the header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from fpdm.checks import choice, flag, whole
from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import written_file

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
STORED = ("moments", "sample")
DAMAGED = "is missing or damaged: delete it, and run the same `fpdm encode` again to restore it."

_CODES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}
_METADATA = "fpdm"


@frozen(kw_only=True)
class Layout:
    """What the shards of a data set hold.

    Attributes:
        stored: `moments` of the latents' distribution, or a `sample` of it.
        flipped: whether the latents of the mirrored images are there too.
        dtype: of the latents, `float16`, `bfloat16` or `float32`.
        channels: of a latent.
        size: its height and width.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    stored: str = field(validator=choice(*STORED))
    flipped: bool = field(validator=flag)
    dtype: str = field(validator=choice(*DTYPES))
    channels: int = field(validator=whole(minimum=1))
    size: int = field(validator=whole(minimum=1))

    def shapes(self, count: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The type and shape of each tensor in a shard of `count` images.

        Args:
            count: how many images.
        """
        channels = 2 * self.channels if self.stored == "moments" else self.channels
        latents = (_CODES[self.dtype], (count, channels, self.size, self.size))
        names = ["latents", "flipped"] if self.flipped else ["latents"]
        return {"labels": ("I64", (count,)), **dict.fromkeys(names, latents)}

    def empty(self, name: str) -> Tensor:
        """A tensor of a shard without images.

        Args:
            name: `latents`, `flipped` or `labels`.

        Returns:
            (0, C or 2C, h, h), or (0,) for labels.
        """
        dtype = torch.int64 if name == "labels" else DTYPES[self.dtype]
        return torch.empty(self.shapes(0)[name][1], dtype=dtype)


def shard_name(number: int) -> str:
    """The name of a shard's file.

    Args:
        number: from 0.
    """
    return f"shard-{number:05d}.safetensors"


def write_shard(path: Path, tensors: Mapping[str, Tensor], unreadable: Sequence[str]) -> None:
    """Write a shard, all at once.

    Args:
        path: the file.
        tensors: those of its layout.
        unreadable: the names of files that could not be read.
    """
    about = {_METADATA: json.dumps({"unreadable": list(unreadable)})}
    with written_file(path) as beside:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        beside.write_bytes(save(whole, metadata=about))


@frozen
class Header:
    """What a shard says of itself.

    Attributes:
        count: of the images.
        unreadable: the names of files that could not be read.
    """

    count: int
    unreadable: tuple[str, ...]


def read_header(path: Path, layout: Layout) -> Header:
    """Read the header of a shard, and compare it with a layout.

    Args:
        path: of the shard.
        layout: what it must hold.

    Returns:
        How many images it holds, and which could not be read.

    Raises:
        InvalidValueError: the file is no shard, is damaged, or has another layout.
    """
    try:
        with safe_open(path, "pt") as shard:
            slices = {name: shard.get_slice(name) for name in shard.keys()}  # noqa: SIM118
            found = {
                name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()
            }
            about: Any = json.loads((shard.metadata() or {})[_METADATA])
        unreadable = tuple(map(str, about["unreadable"]))
    except Exception as error:  # a damaged file fails in many ways
        raise InvalidValueError(f"{path} {DAMAGED}") from error
    _, shape = found.get("labels", ("", ()))
    count = shape[0] if shape else 0
    if found != layout.shapes(count):
        raise InvalidValueError(
            f"{path} holds {_written(found)}: must hold {_written(layout.shapes(count))}."
        )
    return Header(count, unreadable)


def _written(shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    parts = [f"{name} {dtype} {shape}" for name, (dtype, shape) in sorted(shapes.items())]
    return ", ".join(parts) or "nothing"
