"""A small classifier that is trained on the reference, and kept beside it."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn

from fpdm.checks import check_whole
from fpdm.data.dataset import Dataset
from fpdm.errors import InvalidValueError
from fpdm.evaluation.reader import Reader, reader
from fpdm.runtime.storage import written_file

STEPS = 600
BATCH_SIZE = 128
LEARNING_RATE = 2e-3
KNOWN = 512
"""Samples by which a data set is known again, evenly spread."""

FORMAT = "fpdm classifier 1"


@frozen(eq=False)
class Classifier:
    """A small network that reads the classes of a reference; its last hidden layer is the features.

    Of images it is three convolutions, of other samples two layers. It sees a tenth of the
    reference only when it is done, and says how much of that it reads right.

    Attributes:
        network: from samples to features, and `head`, from features to classes.
        sample: the shape of a sample, (C, …).
        num_classes: how many classes it reads.
        seed: of its weights and batches.
        known: what it was trained on, as [`digest`][fpdm.evaluation.Classifier.digest] says it.
        held_out: the share of samples that it has not been trained on and reads right, from 0 to 1;
            None where there are fewer than ten.

    Examples:
        >>> from fpdm.data import digits
        >>> real = digits()
        >>> classifier = Classifier.fit(real, steps=50)
        >>> classifier(real.images[:3]).shape, classifier.accuracy(real.images, real.labels) > 0.8
        ((3, 64), True)
    """

    network: Reader
    sample: tuple[int, ...]
    num_classes: int
    seed: int
    known: str
    held_out: float | None

    @property
    def name(self) -> str:
        """`classifier`, with the beginning of the digest of what it was trained on."""
        return f"classifier {self.known[:12]}"

    def __call__(self, images: Tensor) -> NDArray[np.float64]:
        """The last hidden layer, after its ReLU.

        Args:
            images: (B, C, …), as those of the reference.

        Returns:
            (B, 64), float64.

        Raises:
            InvalidValueError: they have another shape.
        """
        with torch.no_grad():
            return self._hidden(images).cpu().double().numpy()

    def read(self, images: Tensor) -> NDArray[np.int64]:
        """The class of each image.

        Args:
            images: (B, C, …), as those of the reference.

        Returns:
            (B,).

        Raises:
            InvalidValueError: they have another shape.
        """
        with torch.no_grad():
            logits: Tensor = self.network.head(self._hidden(images))
        return logits.argmax(dim=1).cpu().numpy()

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """The share of images that are read as their label.

        Args:
            images: (B, C, …), as those of the reference.
            labels: (B,), int64.

        Returns:
            From 0 to 1.

        Raises:
            InvalidValueError: the images have another shape.
        """
        return float((self.read(images) == labels.cpu().numpy()).mean())

    def to(self, device: Any) -> Classifier:
        """The classifier itself, whose network is moved and computes there from now on.

        Args:
            device: such as `cuda`.
        """
        self.network.to(device)
        return self

    @classmethod
    def fit(
        cls, reference: Dataset, *, seed: int = 0, steps: int = STEPS, device: Any = "cpu"
    ) -> Classifier:
        """A classifier, trained; on one machine the same seed gives the same.

        Args:
            reference: with classes.
            seed: of weights and batches.
            steps: of AdamW, with batches of 128.
            device: where to train.

        Raises:
            InvalidValueError: the reference has no classes, or an argument is not allowed.
        """
        fitting = Fitting(reference, seed=seed, steps=steps, device=device)
        for _ in fitting:
            pass
        return fitting.classifier()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it into a file of safetensors.

        Args:
            path: the file, which may be there.

        Raises:
            StorageError: it cannot be written.
        """
        from safetensors.torch import save

        told = {
            "sample": self.sample,
            "num_classes": self.num_classes,
            "seed": self.seed,
            "known": self.known,
            "held_out": self.held_out,
        }
        tensors = {name: value.cpu() for name, value in self.network.state_dict().items()}
        with written_file(Path(path)) as beside:
            beside.write_bytes(save(tensors, {FORMAT: json.dumps(told)}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Classifier:
        """A classifier that `save` wrote.

        Args:
            path: of the file.

        Raises:
            InvalidValueError: it holds none.
        """
        from safetensors import safe_open

        try:
            with safe_open(path, "pt") as file:
                written = (file.metadata() or {}).get(FORMAT)
                if written is None:
                    raise ValueError(f"it is no {FORMAT!r}")
                told = json.loads(written)
                told["sample"] = tuple(told["sample"])
                network = reader(told["sample"], told["num_classes"])
                network.load_state_dict({name: file.get_tensor(name) for name in list(file.keys())})
        except Exception as error:  # a damaged file fails in many ways
            said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise InvalidValueError(
                f"{path} cannot be read as a classifier: {said}; remove it, and one is trained."
            ) from error
        return cls(network.eval(), **told)

    @classmethod
    def kept(
        cls, path: str | os.PathLike[str], reference: Dataset, *, seed: int = 0
    ) -> Classifier | None:
        """The classifier of a reference that `save` wrote, if it is there.

        Args:
            path: of the file, which may be missing.
            reference: that it was trained on.
            seed: with which it was.

        Returns:
            The classifier; None if there is no file, or one of another reference or seed.

        Raises:
            InvalidValueError: the file holds none.
        """
        if not Path(path).exists():
            return None
        there = cls.load(path)
        return there if (there.known, there.seed) == (cls.digest(reference), seed) else None

    @staticmethod
    def digest(reference: Dataset) -> str:
        """A SHA-256 by which a data set is known again: of its sizes, and 512 of its samples.

        Args:
            reference: with or without classes.
        """
        found = hashlib.sha256(repr((len(reference), reference.shape.sample)).encode())
        chosen = torch.linspace(0, len(reference) - 1, min(KNOWN, len(reference))).long()
        batch = reference.batch(chosen, seeds=chosen)
        for tensor in (batch.images, batch.labels):
            if tensor is not None:
                found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()

    def _hidden(self, images: Tensor) -> Tensor:
        if tuple(images.shape[1:]) != self.sample:
            raise InvalidValueError(
                f"images of {tuple(images.shape[1:])}: the classifier was trained on "
                f"{self.sample}, and reads no others."
            )
        device = next(self.network.parameters()).device
        hidden: Tensor = self.network.body(images.to(device, torch.float32))
        return hidden


class Fitting:
    """The training of a classifier: iterate it, and then ask for the classifier.

    Args:
        reference: with classes.
        seed: of weights and batches.
        steps: of AdamW.
        device: where to train.

    Attributes:
        steps: of AdamW, in all.

    Raises:
        InvalidValueError: the reference has no classes, or an argument is not allowed.
    """

    def __init__(
        self, reference: Dataset, *, seed: int = 0, steps: int = STEPS, device: Any = "cpu"
    ) -> None:
        check_whole("steps", steps, minimum=1)
        check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
        if reference.shape.num_classes < 2:
            raise InvalidValueError(
                "The reference has no classes: a classifier needs two or more; take pixels."
            )
        self.steps = steps
        self._reference, self._seed, self._device = reference, seed, device
        self._sample, self._classes = reference.shape.sample, reference.shape.num_classes
        self._generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(reference), generator=self._generator)
        held = len(order) // 10
        self._held, self._seen = order[:held], order[held:]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._network = reader(self._sample, self._classes).to(device)

    def __iter__(self) -> Iterator[float]:
        optimizer = torch.optim.AdamW(self._network.parameters(), lr=LEARNING_RATE)
        for _ in range(self.steps):
            drawn = torch.randint(len(self._seen), (BATCH_SIZE,), generator=self._generator)
            images, labels = self._batch(self._seen[drawn])
            loss = nn.functional.cross_entropy(self._network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield float(loss.detach())

    def classifier(self) -> Classifier:
        """The classifier as it is now, after as many steps as were taken.

        Raises:
            InvalidValueError: the reference gives no classes.
        """
        network = self._scaled()
        known = Classifier.digest(self._reference)
        made = Classifier(network, self._sample, self._classes, self._seed, known, None)
        if not len(self._held):
            return made
        right = 0.0
        for indices in self._held.split(BATCH_SIZE):
            right += made.accuracy(*self._batch(indices)) * len(indices)
        held_out = right / len(self._held)
        return Classifier(network, self._sample, self._classes, self._seed, known, held_out)

    def _scaled(self) -> Reader:
        """The network, with features whose mean variance is 1, and what it reads unchanged."""
        network = copy.deepcopy(self._network).eval()
        some = self._seen[torch.linspace(0, len(self._seen) - 1, KNOWN).long().unique()]
        with torch.no_grad():
            hidden = [network.body(self._batch(part)[0]) for part in some.split(BATCH_SIZE)]
            scale = torch.cat(hidden).var(dim=0, correction=0).mean().sqrt().clamp(min=1e-12)
            network.last.weight.div_(scale)  # before a ReLU, which passes factors on
            network.last.bias.div_(scale)
            network.head.weight.mul_(scale)
        return network

    def _batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        batch = self._reference.batch(indices, seeds=indices)
        if batch.labels is None:
            raise InvalidValueError("The reference has no classes: a classifier needs them.")
        return batch.images.to(self._device), batch.labels.to(self._device)
