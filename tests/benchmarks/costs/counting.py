"""What is dispatched beyond the network's own work, counted: on a GPU each is a launch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

import fpdm
from tests.benchmarks.costs.figures import Figure
from tests.benchmarks.costs.settings import DIGITS, Settings, Workload
from tests.benchmarks.costs.solving import elementwise
from tests.benchmarks.costs.workloads import (
    Inputs,
    compilations,
    compiled,
    forward,
    implicit,
    pipeline,
    sampling,
    straight,
)
from tests.operations import operations

EVALUATION, TIMESTEP, GRAPHS = "operations of a solver", "operations of a timestep", "graphs"
SHORT = 2
"""Evaluations of a short solve, as many timesteps have them."""

FULL, MORE = 14, 10
"""Evaluations, or timesteps, after which every memory is full; and those that are then counted."""

SOLVERS: dict[str, dict[str, Any]] = {
    "naive": {},
    **{
        f"anderson, memory {memory}{', carry' * carry}": {"memory": memory, "carry": carry}
        for memory in (1, 6, 10)
        for carry in (False, True)
    },
    "anderson, memory 6, kind I": {"memory": 6, "kind": "I"},
    "broyden": {},
    "broyden, carry": {"carry": True},
}
SCHEDULERS = ("ddim", "ddpm", "euler", "unipc", "dpm++")
FLOW = ("euler",)
"""Where the network predicts a velocity."""


def operations_of_solvers(settings: Settings) -> Iterator[Figure]:
    """Beyond f: of each further evaluation once memories are full, and of a short solve."""
    f, x0 = elementwise((4, 64), device=settings.device)
    for name, options in SOLVERS.items():
        solver = fpdm.solver(name.partition(",")[0], **options)
        going_on = {}
        if options.get("carry"):
            going_on = {"carry": solver.solve(f, x0, evals=30).carry}

        def beyond(evals: int, solver: Any = solver, going_on: Any = going_on) -> int:
            made = operations(lambda: solver.solve(f, x0, evals=evals, **going_on))
            return made.total() - evals

        further = (beyond(FULL + MORE) - beyond(FULL)) / MORE
        yield Figure(EVALUATION, name, "each further evaluation", further)
        yield Figure(EVALUATION, name, f"a solve of {SHORT}", beyond(SHORT))


def operations_of_timesteps(settings: Settings) -> Iterator[Figure]:
    """Beyond the straight forward pass of a timestep with two iterations."""
    network = implicit(DIGITS, device=settings.device, dtype=torch.float32)
    inputs = Inputs.of(network, Workload(DIGITS, 2, 1, SHORT))
    bare = operations(lambda: forward(network, inputs, inputs.timesteps[0], SHORT)).total()
    for scheduler in SCHEDULERS:
        flow = scheduler in FLOW
        pipe = pipeline(network, fpdm.FlowScheduler() if flow else fpdm.EvenDDIMScheduler())
        for solver in ("naive", None):

            def made(
                steps: int, pipe: Any = pipe, by: str = scheduler, solver: Any = solver
            ) -> int:
                run = sampling(pipe, Workload(DIGITS, 2, steps, SHORT), solver, scheduler=by)
                return operations(run).total()

            each = (made(40) - made(20)) / 20 - bare
            yield Figure(TIMESTEP, scheduler, solver or "default", each)
    yield Figure(TIMESTEP, "straight forward pass", f"{SHORT} iterations", float(bare))


def graphs(_: Settings) -> Iterator[Figure]:
    """Graphs and breaks where all timesteps of a run are compiled, whatever by."""
    network = implicit(DIGITS, device="cpu", dtype=torch.float32)
    workload = Workload(DIGITS, 2, 12, SHORT)
    torch.compiler.reset()
    loop = straight(compiled(network, backend="eager"), workload)
    runs = {"straight loop, parts compiled": loop}
    pipe = pipeline(network, fpdm.EvenDDIMScheduler())
    if hasattr(pipe, "compile"):
        known = inspect.signature(pipe.compile).parameters.values()
        takes = any(each.name == "backend" or each.kind is each.VAR_KEYWORD for each in known)
        pipe.compile(**({"backend": "eager"} if takes else {}))
        runs["pipeline, naive"] = sampling(pipe, workload, "naive")
        runs["pipeline, default"] = sampling(pipe, workload, None)
    for name, run in runs.items():
        found = compilations(run)
        for what, count in found.items():
            yield Figure(GRAPHS, name, what, count)
    if len(runs) == 1:
        yield Figure(GRAPHS, "pipeline", "graphs", note="the pipeline has no compile()")
    torch.compiler.reset()
