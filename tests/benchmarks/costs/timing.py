"""Times that can be compared: interleaved runs, and their spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import quantiles

import torch
from attrs import frozen

Run = Callable[[], object]

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""Seconds that pass, and those in which the process has a core: what others take of the machine is
not in the latter, but with several threads the waiting of one for another is.
"""


@frozen
class Spread:
    """The quartiles of some numbers."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        if len(numbers) == 1:
            return cls(*3 * list(numbers))
        return cls(*quantiles(numbers, n=4, method="inclusive"))


def interleaved(
    runs: Mapping[str, Run],
    *,
    device: str,
    seconds: float,
    clock: str = "wall",
    least: int = 3,
    most: int = 15,
) -> dict[str, list[float]]:
    """Time runs round by round, so that what disturbs the machine disturbs all of them.

    Args:
        runs: by name; each has been run before, and is warm.
        device: that they run on, which is waited for.
        seconds: about how long all of it may take; `least` rounds are made at any rate.
        clock: of `CLOCKS`.
        least: rounds, at least.
        most: rounds, at most.

    Returns:
        The seconds of each, one number a round.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    start = time.perf_counter()
    for done in range(most):
        spent = time.perf_counter() - start
        if done >= least and spent + spent / done > seconds:
            break
        # to and fro: a drift of the clock rate weighs on no one more than on another
        for name in list(runs) if done % 2 == 0 else reversed(list(runs)):
            times[name].append(timed(runs[name], device=device, clock=clock))
    return times


def timed(run: Run, *, device: str, clock: str = "wall") -> float:
    """Seconds from an idle device to an idle device."""
    now = CLOCKS[clock]
    wait(device)
    start = now()
    run()
    wait(device)
    return now() - start


def wait(device: str) -> None:
    """Until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
