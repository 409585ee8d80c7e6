"""A comparison in a folder: each cell is drawn once, however often it is interrupted."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import asdict, frozen
from torch import Tensor

import fpdm
from fpdm import plugins
from fpdm.checks import check_whole
from fpdm.comparing import networks
from fpdm.comparing.caches import caching
from fpdm.comparing.config import BUDGET, CACHE, ITERATIONS, Cell, CompareConfig
from fpdm.comparing.costs import Cost, cost_of
from fpdm.comparing.judges import Judge
from fpdm.diffusion import spread
from fpdm.drawing.provenance import fingerprint
from fpdm.errors import BudgetError, FPDMError, InvalidValueError
from fpdm.evaluation.archives import levels
from fpdm.runtime.locks import in_use
from fpdm.runtime.storage import naming, written_file

CELLS, SHOWN, NETWORKS = "cells", "samples", "networks"
FEW = 10
"""Samples of a cell that are kept to be looked at."""
COUNTED = 8
"""Samples by which the cost of one is counted: what a run computes once, all of them share."""


@frozen
class Result:
    """What one cell drew with one seed.

    Attributes:
        cell: what was drawn.
        seed: of the noise.
        figures: by the name of features, and of a figure.
        passes: block passes of a sample.
        multiply_adds: of a sample.
        seconds: that drawing `num` samples took.
        num: how many there are.
        steps: timesteps.
        device: where it ran.
        threads: of the CPU.
    """

    cell: Cell
    seed: int
    figures: Mapping[str, Mapping[str, float]]
    passes: int
    multiply_adds: int
    seconds: float
    num: int
    steps: int
    device: str
    threads: int


@frozen
class Failure:
    """A cell that could not be drawn.

    Attributes:
        cell: which.
        seed: of the noise.
        message: why.
    """

    cell: Cell
    seed: int
    message: str


class Comparison:
    """Cells of networks and settings, drawn under the same seeds and measured alike.

    Iterating it trains networks that are to be trained, then draws what has not been drawn yet, and
    yields what comes of each cell and seed; what is there already is yielded as it is.

    Args:
        config: what is compared.
        folder: where all of it is kept.
        device: where to draw.

    Raises:
        InvalidValueError: there is no such data set, or it cannot be read.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fpdm.comparing import Comparison, structure
        >>> config = structure({
        ...     "networks": {"ours": {"model": "digits"}},
        ...     "grid": [{"budget": [8, 12]}],
        ...     "num": 100,
        ...     "seeds": [0],
        ... })
        >>> results = list(Comparison(config, Path(tempfile.mkdtemp())))
        >>> [result.passes for result in results]
        [8, 12]
    """

    def __init__(
        self, config: CompareConfig, folder: Path | str, *, device: str | torch.device = "cpu"
    ) -> None:
        self.config, self.folder, self.device = config, Path(folder), torch.device(device)
        self.data = plugins.dataset(config.data)
        self._loaded: dict[str, tuple[Any, str]] = {}

    def __len__(self) -> int:
        """How many pairs of cell and seed there are."""
        return len(self.config.cells()) * len(self.config.seeds)

    def __iter__(self) -> Iterator[networks.Trained | Result | Failure]:
        """Train, and draw.

        Yields:
            The steps of trainings, then for each cell and seed the result, or why there is none.

        Raises:
            FPDMError: a network cannot be trained or loaded.
            StorageError: another process compares in the folder, or it cannot be written.
        """
        with naming(self.folder):
            for name in (CELLS, SHOWN, NETWORKS):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        with in_use(self.folder):
            yield from networks.train(self.config, self.folder / NETWORKS)
            for cell in self.config.cells():
                for seed in self.config.seeds:
                    yield self._of(cell, seed)

    def shown(self, cell: Cell) -> Tensor:
        """A few samples of a cell that has been drawn, with the first seed.

        Args:
            cell: of the comparison.

        Returns:
            (n, C, …), uint8.
        """
        _, known = self._network(cell.network)
        key = self._key(cell, self.config.seeds[0], known)
        with np.load(self.folder / SHOWN / f"{key}.npz") as archive:
            return torch.from_numpy(archive["samples"])

    def _of(self, cell: Cell, seed: int) -> Result | Failure:
        pipe, known = self._network(cell.network)
        path = self.folder / CELLS / f"{self._key(cell, seed, known)}.json"
        if path.exists():
            return _read(path, cell)
        try:
            result = self._draw(pipe, cell, seed, shown=path.stem)
        except (FPDMError, RuntimeError, ValueError, TypeError) as error:
            return Failure(cell, seed, str(error) or type(error).__name__)
        with written_file(path) as beside:
            plain = asdict(result)
            beside.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        return result

    def _draw(self, pipe: Any, cell: Cell, seed: int, *, shown: str) -> Result:
        settings = settings_of(cell, pipe.model)
        cache = cell.settings.get(CACHE)
        with caching(pipe.model, cache):
            cost = self._cost(pipe, settings)
            started = time.perf_counter()
            images, labels, steps = self._samples(pipe, settings, seed)
            seconds = time.perf_counter() - started
        self._keep(images, shown)
        figures = {judge.name: judge.measure(images, labels) for judge in self._judges}
        return Result(
            cell,
            seed,
            figures,
            passes=cost.passes,
            multiply_adds=cost.multiply_adds,
            seconds=seconds,
            num=len(images),
            steps=steps,
            device=device_name(self.device),
            threads=torch.get_num_threads(),
        )

    def _samples(
        self, pipe: Any, settings: Mapping[str, Any], seed: int
    ) -> tuple[Tensor, Tensor | None, int]:
        """Draw all samples of a cell, on the CPU in [-1, 1]; their labels, and the timesteps."""
        generator = torch.Generator().manual_seed(seed)
        drawn, steps = [], 0
        for numbers in torch.arange(self.config.num).split(self.config.batch_size):
            made = pipe(**self._asked(numbers), **settings, generator=generator, output_type="pt")
            drawn.append(made.images.cpu().float())
            steps = len(made.steps)
        images = torch.cat(drawn)
        if self.data.shape.is_picture:
            images = images * 2 - 1
        classes = self.data.shape.num_classes
        labels = torch.arange(self.config.num) % classes if classes else None
        return images, labels, steps

    def _asked(self, numbers: Tensor) -> dict[str, Any]:
        classes = self.data.shape.num_classes
        if classes:
            return {"class_labels": numbers % classes}
        return {"num_images": len(numbers)}

    def _cost(self, pipe: Any, settings: Mapping[str, Any]) -> Cost:
        asked = self._asked(torch.zeros(COUNTED, dtype=torch.int64))
        generator = torch.Generator().manual_seed(0)
        return cost_of(
            lambda: pipe(**asked, **settings, generator=generator, output_type="latent"),
            pipe.model,
            samples=COUNTED,
        )

    def _keep(self, images: Tensor, name: str) -> None:
        """Keep a few of the samples."""
        few = levels(images[:FEW]).numpy()
        with written_file(self.folder / SHOWN / f"{name}.npz") as beside, beside.open("wb") as file:
            np.savez_compressed(file, samples=few)

    def _network(self, name: str) -> tuple[Any, str]:
        if name not in self._loaded:
            found = networks.load(name, self.config.networks[name], self.folder / NETWORKS)
            known = fingerprint(found)
            self._loaded[name] = found.to(self.device), known
        return self._loaded[name]

    @cached_property
    def _judges(self) -> list[Judge]:
        return [Judge.of(name, self.data, self.folder) for name in self.config.features]

    def _key(self, cell: Cell, seed: int, known: str) -> str:
        """What a result is filed under: all that it depends on."""
        config = self.config
        depends = {
            "settings": dict(sorted(cell.settings.items())),
            "network": [cell.network, known],
            "seed": seed,
            "samples": [config.num, config.batch_size],
            "data": [config.data, len(self.data), list(config.features)],
            "device": [device_name(self.device), torch.get_num_threads()],
            "version": fpdm.__version__,
        }
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:20]


def settings_of(cell: Cell, network: Any) -> dict[str, Any]:
    """The keywords of the pipeline for a cell.

    Args:
        cell: of the comparison; with `iterations` the number of timesteps comes from the budget.
        network: that is called.

    Raises:
        BudgetError: the budget does not pay for one timestep.
        InvalidValueError: iterations of a network that has none.
    """
    settings = {k: v for k, v in cell.settings.items() if k not in (ITERATIONS, CACHE)}
    explicit, layer = network.pre_passes + network.post_passes, getattr(network, "layer", None)
    each = explicit
    if layer is not None:
        iterations = cell.settings.get(ITERATIONS, spread.ITERATIONS)
        each += check_whole(ITERATIONS, iterations, minimum=1)
    elif ITERATIONS in cell.settings:
        raise InvalidValueError("iterations: the network is explicit, and has none; leave it out.")
    budget = settings[BUDGET]
    steps = budget // each
    if not steps:
        raise BudgetError(f"budget={budget}: one timestep costs {each} block passes.")
    if not {"num_inference_steps", "timesteps", "sigmas"} & set(settings):
        if layer is None:
            settings[BUDGET] = steps * each
        if layer is None or ITERATIONS in cell.settings:
            settings["num_inference_steps"] = steps
    return settings


def device_name(device: torch.device) -> str:
    """What a device is called.

    Args:
        device: of PyTorch.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type


def _read(path: Path, cell: Cell) -> Result:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return Result(**{**plain, "cell": cell})
    except (ValueError, TypeError) as error:
        raise InvalidValueError(
            f"{path} cannot be read: {error}; remove it, and the cell is drawn again."
        ) from error
