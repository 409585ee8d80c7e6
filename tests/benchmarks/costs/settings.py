"""What a run of the benchmark measures, and for how long."""

from __future__ import annotations

import platform
from typing import Any

import diffusers
import torch
from attrs import evolve, frozen

import fpdm
from tests.benchmarks.tables import machine

DIGITS = "digits"
"""In the place of a preset: the network of the package."""


@frozen
class Workload:
    """A sampling run.

    Attributes:
        size: a preset, or `digits`.
        batch: images.
        steps: timesteps.
        iterations: of the implicit layer in each.
    """

    size: str
    batch: int
    steps: int
    iterations: int

    @property
    def label(self) -> str:
        return f"{self.size}, batch {self.batch}, {self.steps} × {self.iterations}"


@frozen
class Settings:
    """All that the sections ask for.

    Attributes:
        device: `cuda` or `cpu`.
        dtype: of the networks that are timed.
        workloads: of the pipeline; those of one size stand together.
        compiled: sizes whose network is compiled and timed.
        unrolled: iterations, at most, of a timestep that is compiled: a program holds each.
        beside: sizes beside which the DiT of equal passes is timed.
        seconds: about how long the rounds of one size, or of one section, may take.
        least: rounds that are made at any rate.
        warm_steps: timesteps after which a run that compiles nothing is warm.
        state: shape of the iterate of which the solvers' own time is measured.
        evals: of those solves.
        budgets: numbers that a run grows by: its iterations, and timesteps four times as many.
        grown: the run that is made longer: whose time and memory are looked at as it grows.
        many: the factor by which it grows where memory is looked at.
        clock: that times are taken by.
    """

    device: str
    dtype: torch.dtype
    workloads: tuple[Workload, ...]
    compiled: frozenset[str]
    unrolled: int
    beside: frozenset[str]
    seconds: float
    least: int
    warm_steps: int
    state: tuple[int, int]
    evals: int
    budgets: tuple[int, ...]
    grown: Workload
    many: int
    clock: str = "wall"

    @classmethod
    def of(cls, *, device: str, size: str | None, quick: bool) -> Settings:
        """The settings that the targets speak of; `quick` shortens what takes longest."""
        if device == "cuda":
            sizes = (size,) if size else ("XL/2", "S/2")
            small = Workload("S/2" if size is None else size, 8, 20, 2)
            workloads = tuple(each for name in sizes for each in _published(name))
            found = cls(
                *(device, torch.bfloat16, workloads, frozenset(sizes)),
                unrolled=2,
                beside=frozenset(sizes[:1]),
                seconds=25.0,
                least=3,
                warm_steps=20,
                state=(32, 65_536),
                evals=15,
                budgets=(2, 4, 6, 8, 10),
                grown=small,
                many=8,
            )
            return evolve(found, seconds=12.0) if quick else found
        digits = Workload(DIGITS, 16, 15, 2)
        large = Workload(size or "S/2", 8, 3 if quick else 20, 10)
        return cls(
            *(device, torch.float32, (large, digits)),
            compiled=frozenset() if quick else frozenset({DIGITS}),
            unrolled=10,
            beside=frozenset({large.size, DIGITS}),
            seconds=15.0 if quick else 150.0,
            least=3,
            warm_steps=2,
            state=(32, 65_536),
            evals=15,
            budgets=(2, 4, 6, 8, 10),
            grown=Workload(DIGITS, 16, 8, 2),
            many=8,
        )

    @property
    def sizes(self) -> list[str]:
        """Of the workloads, in their order."""
        return list(dict.fromkeys(each.size for each in self.workloads))

    @property
    def rounds(self) -> dict[str, Any]:
        """How rounds are timed."""
        return {"device": self.device, "clock": self.clock, "least": self.least}

    def described(self) -> dict[str, Any]:
        """Device and versions, as they are written beside the figures."""
        on = torch.cuda.get_device_name() if self.device == "cuda" else machine()
        return {
            "device": self.device,
            "processor": on.split(", ")[0],
            "clock": self.clock,
            "threads": torch.get_num_threads(),
            "dtype": str(self.dtype).removeprefix("torch."),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "fpdm": fpdm.__version__,
            "python": platform.python_version(),
        }


def _published(size: str) -> tuple[Workload, Workload]:
    """560 passes at the largest sizes, where a DiT makes 20 × 28; many and few timesteps."""
    large = size.startswith("XL")
    batch, few = (16, Workload(size, 16, 20, 26)) if large else (8, Workload(size, 8, 20, 10))
    return Workload(size, batch, 140, 2), few
