"""How time and memory grow with a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import linear_regression

import torch
from attrs import evolve

from tests.benchmarks.costs.figures import Figure
from tests.benchmarks.costs.settings import Settings
from tests.benchmarks.costs.timing import interleaved
from tests.benchmarks.costs.workloads import implicit, pipeline, sampling, scheduler_of
from tests.toys import peak_bytes

TIME, MEMORY = "time against budget", "peak memory"


def times(settings: Settings) -> Iterator[Figure]:
    """Seconds of runs of growing budgets, and how straight a line they lie on."""
    network = implicit(settings.grown.size, device=settings.device, dtype=settings.dtype)
    workload = settings.grown
    pipe = pipeline(network, scheduler_of(workload.size))
    explicit = network.pre_passes + network.post_passes
    by_iterations = [evolve(workload, iterations=count) for count in settings.budgets]
    by_timesteps = [evolve(workload, steps=4 * count) for count in settings.budgets]
    kinds = {"more iterations": by_iterations, "more timesteps": by_timesteps}
    for solver in ("naive", None):
        runs = {
            f"{kind} {each.label}": sampling(pipe, each, solver)
            for kind, grown in kinds.items()
            for each in grown
        }
        runs[f"more timesteps {by_timesteps[-1].label}"]()
        found = interleaved(runs, seconds=settings.seconds / 4, **settings.rounds)
        for kind, grown in kinds.items():
            passes = [each.steps * (explicit + each.iterations) for each in grown]
            # the fastest: what else goes on in the machine only adds
            seconds = [min(found[f"{kind} {each.label}"]) for each in grown]
            case = f"{workload.size}, batch {workload.batch}, {solver or 'default'}, {kind}"
            slope, at_zero = linear_regression(passes, seconds)
            fit = [at_zero + slope * each for each in passes]
            told = ", ".join(
                f"{count}: {1e3 * each:.0f} ms" for count, each in zip(passes, seconds, strict=True)
            )
            yield Figure(TIME, case, "R²", r_squared(seconds, fit), note=f"passes: {told}")
            yield Figure(TIME, case, "each pass", 1e3 * slope, "ms")


def r_squared(found: Sequence[float], fit: Sequence[float]) -> float:
    """The share of the variance that a fit explains."""
    centre = sum(found) / len(found)
    left = sum((a - b) ** 2 for a, b in zip(found, fit, strict=True))
    return 1 - left / sum((each - centre) ** 2 for each in found)


def memory(settings: Settings) -> Iterator[Figure]:
    """The most that runs of few and many timesteps and iterations hold beyond their networks."""
    workload, many = settings.grown, settings.many
    network = implicit(workload.size, device=settings.device, dtype=settings.dtype)
    pipe = pipeline(network, scheduler_of(workload.size))
    few = evolve(workload, steps=max(2, workload.steps // 4))
    grown = (
        few,
        evolve(few, steps=few.steps * many),
        evolve(few, iterations=few.iterations * many),
    )
    for solver in ("naive", None):
        for each in grown:
            run = sampling(pipe, each, solver)
            run()
            most = _peak(run, settings.device) / 2**20
            yield Figure(MEMORY, each.label, solver or "default", most, "MiB")


def _peak(run: Callable[[], object], device: str) -> float:
    if device != "cuda":
        return peak_bytes(run)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
