"""What runs cost on this machine, in seconds, measured when somebody asks."""

from __future__ import annotations

import math
import time
import weakref
from statistics import median
from typing import Any

import torch
from attrs import field, frozen

from fpdm.calibration import Way
from fpdm.planning.choices import MOST
from fpdm.planning.finals import Finals
from fpdm.planning.fitting import wants_calibration

ROUNDS = 3
SHORT, LONG = 4, 16
"""Timesteps of the runs that are timed."""
FEW, MANY = 1, 4
"""Iterations of them."""


@frozen
class Line:
    """What a run costs: `start + steps * step + evaluations * evaluation`, in seconds.

    Attributes:
        start: whatever it does.
        step: of a timestep without its iterations.
        evaluation: of one iteration.
    """

    start: float
    step: float
    evaluation: float

    def seconds(self, steps: int, iterations: float) -> float:
        """Return what a run takes.

        Args:
            steps: timesteps.
            iterations: at each of them.
        """
        return self.start + steps * (self.step + iterations * self.evaluation)

    def steps(self, seconds: float, iterations: float) -> int:
        """How many timesteps a time pays for.

        Args:
            seconds: of the run.
            iterations: at each timestep.
        """
        each = max(self.step + iterations * self.evaluation, 1e-9)
        return max(0, int((seconds - self.start) / each))


@frozen(eq=False)
class Costs:
    """What runs of one pipeline cost, of one number of samples; what is known is kept.

    Attributes:
        finals: draws the runs that are timed.
        lines: by solver and scheduler.
        pairs: the seconds of two runs, by the way and the timesteps of both.
    """

    finals: Finals
    lines: dict[tuple[str, str], Line] = field(factory=dict)
    pairs: dict[tuple[str, int, int], tuple[float, float]] = field(factory=dict)

    @classmethod
    def of(cls, pipe: Any, *, count: int, guidance_scale: float = 1.0) -> Costs:
        """The costs of a pipeline, as it is now.

        Args:
            pipe: the pipeline, compiled or not.
            count: samples of a run.
            guidance_scale: of a run.
        """
        device, dtype = pipe.model.device.type, pipe.model.dtype
        parts = (id(pipe.model), id(pipe.scheduler), id(pipe.compiled))
        run = (count, guidance_scale != 1, parts)
        key = (*run, device, dtype, torch.get_num_threads())
        known: dict[Any, Costs] = _KNOWN.setdefault(pipe, {})
        if key not in known:
            known[key] = cls(Finals.apart(pipe, count, guidance_scale=guidance_scale))
        return known[key]

    def budget(self, way: Way, seconds: float, *, most: int) -> int:
        """Block passes that a time pays for.

        Args:
            way: how they are spent.
            seconds: of the run.
            most: timesteps at most.

        Returns:
            Of whole timesteps; 0 where it does not pay for one.
        """
        line = self._line(way)
        steps = min(line.steps(seconds, way.iterations), most)
        return steps * (self.finals.explicit + way.iterations)

    def refined(self, way: Way, steps: int, seconds: float) -> tuple[int, float]:
        """Timesteps that take a time, by runs of this way alone.

        Args:
            way: how a run spends its budget.
            steps: about as many.
            seconds: of the run.

        Returns:
            The number, at most 1000, and the seconds that it takes.
        """
        short = min(max(1, steps // 8), LONG)
        long = min(max(2, steps // 3), 4 * LONG)
        if steps < 3:
            return steps, self._line(way).seconds(steps, way.iterations)
        first, second = self._pair(way, short, long)
        each = max((second - first) / (long - short), 1e-9)
        found = min(max(1, math.floor((seconds - first) / each) + short), MOST)
        return found, first + (found - short) * each

    def _pair(self, way: Way, short: int, long: int) -> tuple[float, float]:
        """The seconds of two runs of other lengths, in turn."""
        key = (repr(way), short, long)
        if key not in self.pairs:
            self._time(way, short, way.iterations)  # warms up
            rounds = [
                [self._time(way, each, way.iterations) for each in (short, long)]
                for _ in range(ROUNDS)
            ]
            first, second = (median(each) for each in zip(*rounds, strict=True))
            self.pairs[key] = first, second
        return self.pairs[key]

    def _line(self, way: Way) -> Line:
        key = (repr(way.solver), repr(way.scheduler))
        if key not in self.lines:
            self.lines[key] = self._fit(way)
        return self.lines[key]

    def _fit(self, way: Way) -> Line:
        """Time three kinds of run in turn, of which the first round warms up."""
        kinds = ((SHORT, FEW), (SHORT, MANY), (LONG, FEW))
        rounds = [[self._time(way, *kind) for kind in kinds] for _ in range(ROUNDS + 1)][1:]
        few, many, long = (median(each) for each in zip(*rounds, strict=True))
        evaluation = max(many - few, 0.0) / (SHORT * (MANY - FEW))
        step = max((long - few) / (LONG - SHORT) - FEW * evaluation, 0.0)
        return Line(max(few - SHORT * (step + FEW * evaluation), 0.0), step, evaluation)

    def _time(self, way: Way, steps: int, iterations: int) -> float:
        """The seconds of a run, once the device is done with it.

        A plan costs what equal shares do, and may know nothing of so short a run.
        """
        if wants_calibration(way.allocation):
            way = way.without("allocation")
        started = time.perf_counter()
        self.finals.of(way, steps * (self.finals.explicit + iterations), steps=steps)
        return time.perf_counter() - started


_KNOWN: weakref.WeakKeyDictionary[Any, dict[Any, Costs]] = weakref.WeakKeyDictionary()
