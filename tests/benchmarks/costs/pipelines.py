"""What the pipeline takes beyond the straight loop of the same calls."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from attrs import evolve, field, frozen

import fpdm
from tests.benchmarks.costs.figures import Figure
from tests.benchmarks.costs.settings import Settings, Workload
from tests.benchmarks.costs.timing import Run, interleaved, wait
from tests.benchmarks.costs.workloads import (
    DIT,
    MissingError,
    captured,
    compilations,
    compiled,
    compiled_pipeline,
    explicit,
    explicit_steps,
    implicit,
    pipeline,
    sampling,
    scheduler_of,
    straight,
)

SECTION = "pipeline"
LOOP, COMPILED = "straight loop", ", compiled"
SOLVERS = {"naive": "naive", "default": None}


@frozen
class Row:
    """One line of the table: how what is timed is made."""

    workload: Workload
    what: str
    make: Callable[[Workload], Run] = field(eq=False)

    @property
    def case(self) -> str:
        return self.workload.label

    @property
    def name(self) -> str:
        return f"{self.case}: {self.what}"


class Ways:
    """The ways in which one network is run; what is compiled is compiled once for all workloads."""

    def __init__(self, network: Any, scheduler: Any) -> None:
        self.network, self.scheduler = network, scheduler
        self.pipe = pipeline(network, scheduler)

    @cached_property
    def compiled(self) -> Any:
        return compiled(self.network)

    @cached_property
    def compiled_pipe(self) -> fpdm.FPDMPipeline:
        return compiled_pipeline(self.network, self.scheduler)

    def rows(self, workload: Workload, settings: Settings) -> Iterator[Row]:
        compiling = workload.size.removeprefix(DIT) in settings.compiled
        if hasattr(self.network, "layer"):
            compiling &= workload.iterations <= settings.unrolled
        yield Row(workload, LOOP, lambda each: straight(self.network, each))
        if settings.device == "cuda":
            yield Row(workload, f"{LOOP}, CUDA graph", lambda each: captured(self.network, each))
        if compiling:
            yield Row(workload, LOOP + COMPILED, lambda each: straight(self.compiled, each))
        solvers = SOLVERS if hasattr(self.network, "layer") else {"pipeline": None}
        for name, solver in solvers.items():
            yield Row(workload, name, lambda each, by=solver: sampling(self.pipe, each, by))
            if compiling:
                yield Row(
                    *(workload, name + COMPILED),
                    lambda each, by=solver: sampling(self.compiled_pipe, each, by),
                )


def pipelines(settings: Settings) -> Iterator[Figure]:
    """The pipeline, and the loop as it is, captured and compiled; the DiT of equal passes."""
    for size in settings.sizes:
        # a second size would make dynamic graphs of the code that the first has compiled
        torch.compiler.reset()
        yield from _measured(list(_rows(size, settings)), settings)


def _rows(size: str, settings: Settings) -> Iterator[Row]:
    on: dict[str, Any] = {"device": settings.device, "dtype": settings.dtype}
    network, scheduler = implicit(size, **on), scheduler_of(size)
    workloads = [each for each in settings.workloads if each.size == size]
    ways = Ways(network, scheduler)
    for workload in workloads:
        yield from ways.rows(workload, settings)
    if size not in settings.beside:
        return
    few = workloads[-1]
    each_step = network.pre_passes + few.iterations + network.post_passes
    dit = explicit(size, passes=each_step, **on)
    equal = explicit_steps(dit, few, passes=few.steps * each_step)
    yield from Ways(dit, scheduler).rows(equal, settings)


def _measured(rows: list[Row], settings: Settings) -> Iterator[Figure]:
    runs: dict[str, Run] = {}
    notes: dict[str, str] = {}
    for each in rows:
        try:
            runs[each.name], notes[each.name] = _warm(each, settings)
        except MissingError as missing:
            notes[each.name] = str(missing)
        except Exception as error:  # one that cannot be had must not cost all others
            traceback.print_exc(file=sys.stderr)
            said = str(error).strip().splitlines() or [""]
            notes[each.name] = f"{type(error).__name__}: {said[0][:120]}"
    times = interleaved(runs, seconds=settings.seconds, **settings.rounds)
    for each in rows:
        figure = Figure(SECTION, each.case, each.what)
        if each.name in times:
            base = times.get(f"{each.case}: {LOOP}")
            figure = Figure.timed(*figure.key, seconds=times[each.name], base=base)
        yield evolve(figure, note=notes[each.name])


def _warm(row: Row, settings: Settings) -> tuple[Run, str]:
    """Make what is timed, run it, and say what was compiled for it."""
    run = row.make(row.workload)
    if not row.what.endswith(COMPILED) and settings.warm_steps < row.workload.steps:
        row.make(evolve(row.workload, steps=settings.warm_steps))()
        return run, ""
    found = compilations(run)
    wait(settings.device)
    compiling = row.what.endswith(COMPILED)
    return run, f"{found['graphs']} graphs, {found['breaks']} breaks" if compiling else ""
