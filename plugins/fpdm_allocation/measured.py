"""The iterations that leave the least error of the final picture, by what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from attrs import field, frozen

from fpdm.allocator import Plan, WeightedAllocation
from fpdm.calibration import Calibration, Sensitivity
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy
from fpdm.solution import Moment, Solution
from fpdm_allocation.weighted import Weighted


def _read(given: Any) -> Any:
    return Calibration.read(given) if isinstance(given, (str, Path)) else given


def _calibration(_: Any, field: Any, value: Any) -> None:
    del field
    if value is not None and not isinstance(value, Calibration):
        raise InvalidValueError(
            f"calibration={value!r}: must be the path of a `calibration.json`, or a Calibration."
        )


@frozen
class Measured(AllocationPolicy):
    """The plan that leaves the least error of the final picture, of all that spend the budget.

    A calibration says what each number of iterations at each timestep changes in the mean squared
    error of the final picture, against a long run from the same noise. Such changes nearly add up,
    so that the best plan minimises a sum of one curve for each timestep, under one budget. That is
    done exactly, by dynamic programming: measured curves need be neither convex nor monotone.
    Source: this library's own; Bellman, Dynamic programming, 1957.

    Args:
        calibration: what was measured of the model, or the file that holds it; None takes that of
            the pipeline, which finds it beside its model.

    Raises:
        InvalidValueError: the calibration cannot be read, or, when a run begins, there is none, or
            it is of other timesteps.
    """

    name: ClassVar[str] = "measured"
    calibrated: ClassVar[bool] = True

    calibration: Calibration | None = field(default=None, converter=_read, validator=_calibration)

    def begin(
        self, moments: Sequence[Moment], *, budget: int, calibration: Calibration | None = None
    ) -> WeightedAllocation:
        """Plan the run."""
        known = calibration if self.calibration is None else self.calibration
        if known is None:
            raise InvalidValueError(
                "allocation='measured' needs a calibration: `fpdm calibrate` writes one beside the "
                "model. allocation='adaptive' needs none."
            )
        curves = whole_curves(known.sensitivity(moments), len(moments))
        return Weighted(Plan(budget=budget, iterations=cheapest(curves, budget)))

    def iterations(
        self, moment: Moment, *, budget: int, remaining: int, previous: Solution | None
    ) -> float:
        """Return an equal share: a run asks what `begin` returned."""
        del budget, previous
        return remaining / (moment.steps - moment.index)


def whole_curves(sensitivity: Sensitivity, steps: int) -> list[list[float]]:
    """What each whole number of iterations changes, from 1 to the most that was measured.

    Between two counts that were measured it lies on a straight line.

    Args:
        sensitivity: what was measured.
        steps: timesteps of the run.

    Returns:
        For each timestep one number for each of 1, 2, 3 and so on.
    """
    counts = sensitivity.counts
    found = []
    for changes in sensitivity.changes(steps):
        curve = [changes[0]]
        for low, high, before, after in zip(counts, counts[1:], changes, changes[1:], strict=False):
            share = (after - before) / (high - low)
            curve += [before + share * i for i in range(1, high - low + 1)]
        found.append(curve)
    return found


def cheapest(curves: Sequence[Sequence[float]], budget: int) -> list[int]:
    """The iterations of each timestep that cost the least, of all that add up to the budget.

    Args:
        curves: for each timestep what 1, 2, 3 … iterations cost, equally many numbers for each.
            More than these cost what the last of them does.
        budget: of iterations, ≥ one for each timestep.

    Returns:
        One count for each timestep, whose sum is the budget.

    Examples:
        >>> from fpdm_allocation.measured import cheapest
        >>> cheapest([[5, 1, 0], [3, 1, 0]], budget=4)
        [2, 2]
    """
    steps, most = len(curves), len(curves[0])
    if budget >= steps * most:
        each, odd = divmod(budget - steps * most, steps)
        return [most + each + (index >= steps - odd) for index in range(steps)]
    spare = budget - steps  # iterations beyond one for each, of which a timestep takes 0 to most-1
    costs = torch.tensor(curves, dtype=torch.float64)
    least = torch.full((spare + 1,), torch.inf, dtype=torch.float64)
    least[0] = 0  # the least that the timesteps so far cost, by what they have taken
    choices = []
    for curve in costs:
        options = torch.full((most, spare + 1), torch.inf, dtype=torch.float64)
        for taken in range(min(most, spare + 1)):
            options[taken, taken:] = least[: spare + 1 - taken] + curve[taken]
        least, choice = options.min(dim=0)
        choices.append(choice)
    plan: list[int] = []
    for choice in reversed(choices):
        taken = int(choice[spare])
        plan.append(1 + taken)
        spare -= taken
    return plan[::-1]
