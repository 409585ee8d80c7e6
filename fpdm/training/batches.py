"""What each process reads and draws for a step: a function of the seed and the step.

What is read and drawn for a sample follows from its place in the training, so that a training sees
the same samples, noise and timesteps however many processes share it, and wherever it goes on from;
and each process draws for its own share alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from attrs import frozen
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fpdm.data import Dataset
from fpdm.training.config import TrainConfig
from fpdm.training.draws import chances, noise
from fpdm.training.seeding import drop_labels, shuffled


class Share(NamedTuple):
    """What one process works on in a step; B samples.

    Attributes:
        clean: images or latents, (B, C, H, W).
        noise: standard normal, (B, C, H, W).
        timestep: (B,).
        labels: some of them dropped, (B,).
        unreadable: files that could not be read, in whose place others were taken.
    """

    clean: Tensor
    noise: Tensor
    timestep: Tensor
    labels: Tensor
    unreadable: tuple[str, ...] = ()

    def split(self, parts: int) -> Iterator[Share]:
        """Cut it into equal parts.

        Args:
            parts: how many; divides B.

        Yields:
            A share of B / `parts` samples.
        """
        tensors = (self.clean, self.noise, self.timestep, self.labels)
        for parted in zip(*(value.chunk(parts) for value in tensors), strict=True):
            clean, noise, timestep, labels = parted
            yield Share(clean, noise, timestep, labels)

    def to(self, device: torch.device) -> Share:
        """Move the tensors to a device.

        Args:
            device: where to.

        Returns:
            The share, its tensors there.
        """
        return Share(
            self.clean.to(device, non_blocking=True),
            self.noise.to(device, non_blocking=True),
            self.timestep.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.unreadable,
        )


@frozen(eq=False)
class Shares(TorchDataset[Share]):
    """The shares of one process: item `step` is what it works on in that step.

    Args:
        config: of the training.
        data: what is read.
        rank: which process this is.
        world: how many there are; it divides the batch.
    """

    config: TrainConfig
    data: Dataset
    rank: int = 0
    world: int = 1

    def __getitem__(self, step: int) -> Share:
        config, shape = self.config, self.data.shape
        places = self._places(step)
        chance = chances(config.diffusion, config.seed, places)
        batch = self.data.batch(shuffled(config.seed, places, size=len(self.data)), chance.seed)
        return Share(
            clean=batch.images,
            noise=noise(config.seed, places, (shape.channels, shape.size, shape.size)),
            timestep=chance.timestep,
            labels=drop_labels(batch.labels, chance.label, config.class_dropout, shape.num_classes),
            unreadable=batch.unreadable,
        )

    def loader(self, start: int) -> Iterator[Share]:
        """The shares from step `start` to the last, read ahead by the workers.

        Args:
            start: steps done, from 0.
        """
        workers = self.config.engine.workers
        options: dict[str, Any] = {"prefetch_factor": 4} if workers else {}
        return iter(
            DataLoader(
                self,
                batch_size=None,
                sampler=range(start, self.config.steps),
                num_workers=workers,
                pin_memory=torch.cuda.is_available(),
                generator=torch.Generator(),  # the global one is not ours to draw from
                **options,
            )
        )

    def _places(self, step: int) -> range:
        """Where the samples of a step stand in the training, those of this process."""
        size = self.config.batch_size
        start = step * size
        return range(
            start + self.rank * size // self.world, start + (self.rank + 1) * size // self.world
        )
