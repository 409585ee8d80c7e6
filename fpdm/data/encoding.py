"""The run of an encoding, as a generator of shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import torch
from attrs import frozen
from torch import Tensor

from fpdm.data.encoder import Encoder
from fpdm.data.image_batches import ImageBatch, read_batches
from fpdm.data.index import INDEX, LatentsIndex, ShardEntry, read_index
from fpdm.data.listing import Listing
from fpdm.data.pixels import read_levels
from fpdm.data.plan import Plan
from fpdm.data.records import write_record
from fpdm.data.shards import Header, read_header, shard_name, write_shard
from fpdm.data.target import check_target, is_complete, prepare_target
from fpdm.errors import InvalidValueError
from fpdm.runtime.locks import in_use_together
from fpdm.runtime.processes import processes, wait
from fpdm.runtime.storage import sha256

if TYPE_CHECKING:
    from accelerate import PartialState
    from diffusers import AutoencoderKL


@frozen
class EncodedShard:
    """A shard that is on the disk.

    Attributes:
        number: from 0; a process makes every N-th, where there are N processes.
        count: of its images.
        unreadable: files that could not be read, and are left out.
        done: images of the source up to the end of this shard.
        total: images of the source.
        kept: whether an earlier run had made it.
    """

    number: int
    count: int
    unreadable: tuple[str, ...]
    done: int
    total: int
    kept: bool


@frozen(eq=False, kw_only=True)
class Encoding:
    """A run that writes what a plan says, or what an earlier run of the plan has left to do.

    Attributes:
        listing: the images.
        target: the folder to write.
        vae: the autoencoder.
        channels: of its images.
        plan: what is to be encoded, and how.
        outline: the index as far as it is known before anything is encoded.
        strict: whether an image that cannot be read is an error.
        workers: processes that read images ahead.
    """

    listing: Listing
    target: Path
    vae: AutoencoderKL
    channels: int
    plan: Plan
    outline: LatentsIndex
    strict: bool
    workers: int

    def shards(self) -> Iterator[EncodedShard]:
        """Make the shards of this process; the main process then writes the index.

        Yields:
            Each shard of this process, when it is on the disk.

        Raises:
            InvalidValueError: with `strict` an image cannot be read, none can be, or a latent is
                not finite; or another run has begun the folder with another plan.
            StorageError: another process writes into the folder, or it cannot be written.
        """
        if is_complete(self.target, self.plan):
            return
        known = self._known()
        here = processes()
        wait(here)  # all have seen the target as it was
        with in_use_together(self.target, here):
            if here.is_main_process:
                check_target(self.target, self.plan)  # which another run may have begun since
            yield from self._shards(here, known)

    def _shards(
        self, here: PartialState, known: Mapping[str, ShardEntry]
    ) -> Iterator[EncodedShard]:
        if here.is_main_process:
            prepare_target(self.target, self.plan)
        wait(here)
        mine = range(here.process_index, self.plan.shards, here.num_processes)
        yield from self._make(mine, here.device)
        wait(here)
        if here.is_main_process:
            write_record(self.target / INDEX, self._index(known))

    def _make(self, numbers: range, device: torch.device) -> Iterator[EncodedShard]:
        missing = [number for number in numbers if not self._path(number).is_file()]
        encoder = Encoder(self.vae.to(device).eval(), self.outline, self.plan.seed)
        batches = read_batches(
            self.listing,
            [batch for number in missing for batch in self.plan.batches(number)],
            size=self.plan.image_size,
            channels=self.channels,
            workers=self.workers,
        )
        for number in numbers:
            kept = number not in missing
            if not kept:
                self._write(number, batches, encoder)
            header = read_header(self._path(number), self.outline)
            if self.strict and header.unreadable:
                raise InvalidValueError(
                    f"{self.listing.root / header.unreadable[0]} could not be read by an earlier "
                    f"run: go on without strict, or choose another folder."
                )
            yield EncodedShard(
                number=number,
                count=header.count,
                unreadable=header.unreadable,
                done=self.plan.end(number),
                total=self.plan.images,
                kept=kept,
            )

    def _write(self, number: int, batches: Iterator[ImageBatch], encoder: Encoder) -> None:
        """Encode the batches of one shard."""
        columns: dict[str, list[Tensor]] = {name: [] for name in self.outline.shapes(0)}
        unreadable: list[str] = []
        for _ in self.plan.batches(number):
            batch = next(batches)
            if self.strict and batch.errors:
                raise InvalidValueError(next(iter(batch.errors.values())))
            unreadable += [self.listing.files[index] for index in batch.errors]
            if batch.indices:
                for name, column in self._encode(batch, encoder).items():
                    columns[name].append(column)
        tensors = {
            name: torch.cat(column) if column else self.outline.empty(name)
            for name, column in columns.items()
        }
        write_shard(self._path(number), tensors, unreadable)

    def _encode(self, batch: ImageBatch, encoder: Encoder) -> dict[str, Tensor]:
        encoded = encoder(batch.images, batch.indices)
        for latents in encoded.values():
            for index, latent in zip(batch.indices, latents, strict=True):
                if not latent.isfinite().all():
                    raise InvalidValueError(
                        f"{self.listing.path(index)}: its latents hold inf or NaN in "
                        f"{self.plan.dtype}: store bfloat16 or float32, or use a VAE in float32."
                    )
        labels = torch.tensor([self.listing.labels[index] for index in batch.indices])
        return {"labels": labels, **encoded}

    def _known(self) -> dict[str, ShardEntry]:
        """What an earlier index says of the shards that are there; they may be damaged since."""
        if not (self.target / INDEX).is_file():
            return {}
        entries = read_index(self.target).shards
        return {entry.file: entry for entry in entries if (self.target / entry.file).is_file()}

    def _why(self) -> str:
        """Why the first image cannot be read, which an earlier run may have met."""
        try:
            read_levels(self.listing.path(0), size=self.outline.image_size, channels=3)
        except InvalidValueError as error:
            return str(error)
        return "it can be read by now; encode into another folder."

    def _index(self, known: Mapping[str, ShardEntry]) -> LatentsIndex:
        """The index of what is on the disk."""
        paths = [self._path(number) for number in range(self.plan.shards)]
        headers = [read_header(path, self.outline) for path in paths]
        if not sum(header.count for header in headers):
            raise InvalidValueError(
                f"{self.listing.root}: not one of its {len(self.listing.files)} images can be "
                f"read; of the first: {self._why()}"
            )
        return attrs.evolve(
            self.outline,
            shards=tuple(
                known.get(path.name) or _entry(path, header)
                for path, header in zip(paths, headers, strict=True)
            ),
            unreadable=tuple(name for header in headers for name in header.unreadable),
        )

    def _path(self, number: int) -> Path:
        return self.target / shard_name(number)


def _entry(path: Path, header: Header) -> ShardEntry:
    size = path.stat().st_size
    return ShardEntry(file=path.name, count=header.count, bytes=size, sha256=sha256(path))
