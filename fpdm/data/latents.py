"""A folder of latents that `fpdm encode` wrote."""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar

import torch
from safetensors import safe_open
from torch import Generator, Tensor

from fpdm.data.bounds import check_bounds
from fpdm.data.dataset import Batch, Dataset, LatentSpace, Shape
from fpdm.data.index import ShardEntry, read_index
from fpdm.data.moments import draw_latent
from fpdm.data.open_shards import OpenShards
from fpdm.data.paths import existing_folder
from fpdm.data.samples import coin, samples
from fpdm.data.shards import DAMAGED, read_header
from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import sha256


class Latents(Dataset):
    """The latents of images, of which a batch reads no more than it needs.

    Where the distributions of latents are stored, a sample is drawn from its own.

    Args:
        root: a folder that [`encode`][fpdm.data.encode] wrote.
        flip: whether samples are those of the mirrored image with probability ½, as their seeds
            draw; if these are stored.
        verify: whether every shard is compared with its checksum, which reads it once.

    Raises:
        InvalidValueError: the folder, its index or a shard is missing, incomplete or damaged; the
            message says which.
    """

    name: ClassVar[str] = "latents"

    def __init__(
        self, root: str | os.PathLike[str], *, flip: bool = True, verify: bool = True
    ) -> None:
        for name, value in (("flip", flip), ("verify", verify)):
            if not isinstance(value, bool):
                raise InvalidValueError(f"{name}={value!r}: must be true or false.")
        self.root = existing_folder(root)
        self.index = read_index(self.root)
        self.flip = flip and self.index.flipped
        self._paths = [self.root / entry.file for entry in self.index.shards]
        self._starts = [0, *accumulate(entry.count for entry in self.index.shards)]
        if not len(self):
            raise InvalidValueError(f"{self.root} holds no latents.")
        if verify:
            self.verify()
        self._labels = torch.cat([self._read_labels(entry) for entry in self.index.shards])
        self._shards = OpenShards(self._paths)

    @property
    def shape(self) -> Shape:
        """The sizes that a network takes from it."""
        index = self.index
        names = dict(enumerate(index.class_names))
        space = LatentSpace(index.vae, index.scaling_factor, index.shift_factor)
        return Shape(index.channels, index.size, len(names), names, space)

    def __len__(self) -> int:
        return self._starts[-1]

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Read samples, drawn as their seeds say, shifted and scaled for a network."""
        asked = samples(indices, seeds, size=len(self))
        index = self.index
        latents = torch.empty(len(indices), index.channels, index.size, index.size)
        for row, (sample, generator) in enumerate(asked):
            latents[row] = self._read(sample, generator)
        if not latents.isfinite().all():
            raise InvalidValueError(f"{self.root} holds inf or NaN: encode its images again.")
        scaled = (latents - index.shift_factor) * index.scaling_factor
        return Batch(scaled, self._labels[indices])

    def verify(self) -> None:
        """Read every shard, and compare it with its checksum.

        Raises:
            InvalidValueError: a shard is missing, or is not as it was written.
        """
        for entry in self.index.shards:
            self._check_size(entry)
            if sha256(self.root / entry.file) != entry.sha256:
                raise InvalidValueError(f"{self.root / entry.file} {DAMAGED}")

    def _read(self, sample: int, generator: Generator) -> Tensor:
        """One latent as the autoencoder gave it, (C, h, h)."""
        shard = bisect_right(self._starts, sample) - 1
        mirrored = self.flip and coin(generator)
        name = "flipped" if mirrored else "latents"
        stored = self._shards.row(shard, name, sample - self._starts[shard]).float()
        if self.index.stored == "sample":
            return stored
        noise = torch.randn(stored[: self.index.channels].shape, generator=generator)
        return draw_latent(stored, noise)

    def _read_labels(self, entry: ShardEntry) -> Tensor:
        """The labels of a shard whose header is as the index says, (N,)."""
        self._check_size(entry)
        path = self.root / entry.file
        count = read_header(path, self.index).count
        if count != entry.count:
            raise InvalidValueError(f"{path} holds {count} latents: must hold {entry.count}.")
        with safe_open(path, "pt") as shard:
            labels: Tensor = shard.get_tensor("labels").clone()
        classes = max(1, len(self.index.class_names))
        check_bounds(f"{path}: labels", labels, maximum=classes - 1)
        return labels

    def _check_size(self, entry: ShardEntry) -> None:
        path = self.root / entry.file
        if not path.is_file() or path.stat().st_size != entry.bytes:
            raise InvalidValueError(f"{path} {DAMAGED}")
