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
from fpdm.training.seeding import drop, shuffled


class Share(NamedTuple):
    """What one process works on in a step; B samples.

    Attributes:
        clean: images, latents, or samples of another shape, (B, C, …).
        noise: standard normal, (B, C, …).
        timestep: (B,).
        labels: some of them dropped, (B,); None where there are no classes.
        condition: some of them dropped, (B, K) or (B, T, K); None where there is none.
        unreadable: files that could not be read, in whose place others were taken.
    """

    clean: Tensor
    noise: Tensor
    timestep: Tensor
    labels: Tensor | None
    condition: Tensor | None = None
    unreadable: tuple[str, ...] = ()

    def split(self, parts: int) -> Iterator[Share]:
        """Cut it into equal parts.

        Args:
            parts: how many; divides B.

        Yields:
            A share of B / `parts` samples.
        """
        cut = [
            (None,) * parts if value is None else value.chunk(parts) for value in self._tensors()
        ]
        for row in zip(*cut, strict=True):
            yield Share(*row)

    def to(self, device: torch.device) -> Share:
        """Move the tensors to a device.

        Args:
            device: where to.

        Returns:
            The share, its tensors there.
        """
        moved: list[Any] = [
            None if value is None else value.to(device, non_blocking=True)
            for value in self._tensors()
        ]
        return Share(*moved, unreadable=self.unreadable)  # type: ignore[misc]

    def _tensors(self) -> tuple[Any, ...]:
        return self[:5]


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
        places = self.places(step)
        chance = chances(config.diffusion, config.seed, places)
        batch = self.data.batch(shuffled(config.seed, places, size=len(self.data)), chance.seed)
        dropped, labels, condition = chance.label < config.class_dropout, None, None
        if shape.num_classes and batch.labels is not None:
            labels = drop(batch.labels, dropped, shape.num_classes)
        if batch.condition is not None:
            condition = drop(batch.condition, dropped, torch.nan)
        return Share(
            clean=batch.images,
            noise=noise(config.seed, places, shape.sample),
            timestep=chance.timestep,
            labels=labels,
            condition=condition,
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

    def places(self, step: int) -> range:
        """Where the samples of a step stand in the training, those of this process.

        Args:
            step: of the training, from 0.
        """
        size = self.config.batch_size
        start = step * size
        return range(
            start + self.rank * size // self.world, start + (self.rank + 1) * size // self.world
        )
