"""A comparison in a folder: each cell is drawn once, however often it is interrupted."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import asdict, evolve, frozen
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
_own: Comparison | None = None
"""In a process that draws beside others: its share in the comparison."""

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
        alone: whether nothing else was drawn meanwhile.
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
    alone: bool = True


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
        jobs: processes that draw side by side. The first seed of each cell is drawn alone all the
            same: its seconds are those of the cell.

    Raises:
        InvalidValueError: there is no such data set, or it cannot be read; or `jobs` is not ≥ 1.

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
        self,
        config: CompareConfig,
        folder: Path | str,
        *,
        device: str | torch.device = "cpu",
        jobs: int = 1,
    ) -> None:
        self.config, self.folder, self.device = config, Path(folder), torch.device(device)
        self.jobs = check_whole("jobs", jobs, minimum=1)
        self.threads = torch.get_num_threads()
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
            first, *others = self.config.seeds
            beside = others if self.jobs > 1 else []
            for cell in self.config.cells():
                for seed in (first, *others[len(beside) :]):
                    yield self.drawn(cell, seed)
            if beside:
                yield from side_by_side(self, beside)

    def shown(self, cell: Cell) -> Tensor:
        """A few samples of a cell that has been drawn, with the first seed.

        Args:
            cell: of the comparison.

        Returns:
            (n, C, …), uint8.
        """
        name = self._path(cell, self.config.seeds[0]).stem
        with np.load(self.folder / SHOWN / f"{name}.npz") as archive:
            return torch.from_numpy(archive["samples"])

    def drawn(self, cell: Cell, seed: int, *, alone: bool = True) -> Result | Failure:
        """Draw a cell, unless it has been drawn.

        Args:
            cell: of the comparison, whose networks are there.
            seed: of the noise.
            alone: whether nothing else is drawn meanwhile.

        Returns:
            What came of it, or why nothing did.

        Raises:
            InvalidValueError: what has been kept of it cannot be read.
        """
        path = self._path(cell, seed)
        if path.exists():
            return _read(path, cell)
        try:
            result = evolve(self._draw(cell, seed, shown=path.stem), alone=alone)
        except (FPDMError, RuntimeError, ValueError, TypeError) as error:
            return Failure(cell, seed, str(error) or type(error).__name__)
        with written_file(path) as beside:
            plain = asdict(result)
            beside.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        return result

    def _draw(self, cell: Cell, seed: int, *, shown: str) -> Result:
        pipe, _ = self._network(cell.network)
        settings = settings_of(cell, pipe.model)
        cache = cell.settings.get(CACHE)
        with caching(pipe.model, cache):
            cost = self._known_cost(cell) or self._cost(pipe, settings)
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

    def _known_cost(self, cell: Cell) -> Cost | None:
        """What a sample of a cell costs, where the first seed has been drawn."""
        path = self._path(cell, self.config.seeds[0])
        if not path.exists():
            return None
        first = _read(path, cell)
        return Cost(first.passes, first.multiply_adds)

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

    def _path(self, cell: Cell, seed: int) -> Path:
        """Where a result is filed: under all that it depends on."""
        config, (pipe, known) = self.config, self._network(cell.network)
        depends = {
            "settings": dict(sorted(cell.settings.items())),
            "network": [cell.network, known],
            "seed": seed,
            "samples": [config.num, config.batch_size],
            "data": [config.data, len(self.data), list(config.features)],
            "device": [device_name(self.device), self.threads],
            "version": fpdm.__version__,
        }
        if known := pipe.calibration_for(cell.settings.get("allocation")):
            depends["calibration"] = known.digest
        key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:20]
        return self.folder / CELLS / f"{key}.json"


def side_by_side(comparison: Comparison, seeds: Sequence[int]) -> Iterator[Result | Failure]:
    """Draw cells in several processes at once.

    Args:
        comparison: whose networks are there.
        seeds: of each cell.

    Yields:
        What comes of each cell and seed, cell by cell.

    Raises:
        FPDMError: one of the processes has ended.
    """
    given = (comparison.config, comparison.folder, comparison.device)
    of_each = max(1, comparison.threads // comparison.jobs)
    with ProcessPoolExecutor(
        comparison.jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(given, comparison.threads, of_each),
    ) as pool:
        waiting = [pool.submit(_cell, cell, seeds) for cell in comparison.config.cells()]
        try:
            for each in waiting:
                yield from each.result()
        except BrokenProcessPool:
            raise FPDMError(
                "jobs: a process that draws beside others has ended: it was stopped, memory ran "
                "out, or the script that compares does so outside `if __name__ == '__main__':`."
            ) from None
        finally:  # where it is broken off, what has not begun does not begin
            pool.shutdown(cancel_futures=True)


def _begin(given: tuple[CompareConfig, Path, torch.device], threads: int, of_each: int) -> None:
    """Make a process ready for its cells; they are filed as those of the others are."""
    global _own
    config, folder, device = given
    torch.set_num_threads(threads)
    _own = Comparison(config, folder, device=device)
    torch.set_num_threads(of_each)


def _cell(cell: Cell, seeds: Sequence[int]) -> list[Result | Failure]:
    assert _own is not None
    return [_own.drawn(cell, seed, alone=False) for seed in seeds]


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
