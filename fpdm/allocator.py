"""Spending a budget of iterations over timesteps, exactly."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from operator import index
from typing import SupportsIndex

from fpdm.calibration import Calibration
from fpdm.checks import check_whole
from fpdm.errors import BudgetError, InvalidValueError, PluginError
from fpdm.interfaces import AllocationPolicy
from fpdm.plugins.blame import ask
from fpdm.solution import Moment, Solution

MOST = 3
"""Times its plan that a timestep grants to samples that have not stopped, of what others saved."""


class Plan(tuple[int, ...]):
    """The iterations of each timestep, noisiest first: a tuple that cannot have a wrong sum.

    Args:
        budget: what the iterations must add up to.
        iterations: one count ≥ 1 for each timestep.

    Raises:
        BudgetError: the counts do not add up to the budget, or one is below 1.
    """

    __slots__ = ()

    def __new__(cls, *, budget: int, iterations: Sequence[SupportsIndex]) -> Plan:
        """Build the plan, or refuse."""
        counts = tuple(map(index, iterations))
        if sum(counts) != budget or min(counts, default=0) < 1:
            raise BudgetError(
                f"iterations={counts}: must be whole numbers ≥ 1 that add up to budget={budget}, "
                f"not {sum(counts)}."
            )
        return super().__new__(cls, counts)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, object]]:
        """Let a plan be copied and pickled."""
        return (), {"budget": sum(self), "iterations": tuple(self)}


def apportion(
    weights: Sequence[float | Fraction], budget: int, minimum: int = 1
) -> tuple[int, ...]:
    """Share `budget` in proportion to `weights` by largest remainder, each share ≥ `minimum`.

    A timestep whose proportional share is below the minimum gets the minimum, and the rest is
    shared among the others. Ties go to the larger weight, and among equal weights to the later
    timestep, or to the earlier where the weights fall: a sorted curve of weights gives a sorted
    plan. Source: Hamilton's method; Balinski and Young, Fair representation, 1982.

    Args:
        weights: a finite number ≥ 0 for each timestep; if all are zero they count as equal.
        budget: whole number ≥ `minimum * len(weights)`.
        minimum: the least that any timestep gets.

    Returns:
        A count for each weight, with `budget` as their sum.

    Raises:
        BudgetError: the budget cannot pay the minimum everywhere.
        InvalidValueError: a weight is negative or not finite, or `budget` or `minimum` is no whole
            number ≥ 0.

    Examples:
        >>> apportion([0.5, 1.0, 1.5], budget=10)
        (2, 3, 5)
    """
    check_whole("budget", budget, minimum=0)
    check_whole("minimum", minimum, minimum=0)
    weights = list(weights)
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise InvalidValueError(f"weights={weights}: must be finite numbers ≥ 0.")
    if not weights or budget < minimum * len(weights):
        raise BudgetError(
            f"budget={budget} cannot give {len(weights)} timesteps {minimum} iteration each. "
            f"Use a budget ≥ {minimum * len(weights)} or at most {budget // max(minimum, 1)} steps."
        )
    exact = [w if isinstance(w, Fraction) else Fraction(float(w)) for w in weights]
    if not any(exact):
        exact = [Fraction(1)] * len(exact)

    poor: set[int] = set()
    while True:  # each round moves at least one timestep to the minimum, or ends
        rest = budget - minimum * len(poor)
        total = sum(weight for i, weight in enumerate(exact) if i not in poor)
        shares = [
            weight * rest / total if i not in poor else Fraction(minimum)
            for i, weight in enumerate(exact)
        ]
        newly = {i for i, share in enumerate(shares) if share < minimum}
        if not newly:
            break
        poor |= newly

    counts = [math.floor(share) for share in shares]
    later = -1 if exact[0] > exact[-1] else 1
    by_claim = sorted(
        range(len(shares)), key=lambda i: (shares[i] - counts[i], exact[i], later * i), reverse=True
    )
    for i in by_claim[: budget - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


class WeightedAllocation(AllocationPolicy):
    """A policy that is a curve of weights over the timesteps, known before sampling begins.

    Subclasses are frozen attrs classes that say `weights`; the exact rounding is done here.
    """

    @abstractmethod
    def weights(self, steps: int) -> Sequence[float | Fraction]:
        """Return one weight ≥ 0 for each of `steps` timesteps, noisiest first.

        Args:
            steps: how many timesteps there are, ≥ 1.
        """

    def plan(self, budget: int, steps: int) -> Plan:
        """Return the iterations of each timestep, noisiest first, with `budget` as their sum.

        Args:
            budget: iterations for the whole run.
            steps: how many timesteps there are.

        Raises:
            BudgetError: `budget` is less than one iteration for each timestep.
            InvalidValueError: an argument is no whole number, or the policy gave other than `steps`
                weights.
        """
        check_affordable(budget, steps)
        weights = tuple(self.weights(steps))
        if len(weights) != steps:
            raise InvalidValueError(
                f"{type(self).__name__} gave {len(weights)} weights for {steps} timesteps."
            )
        return Plan(budget=budget, iterations=_apportion(weights, budget))

    def iterations(
        self, moment: Moment, *, budget: int, remaining: int, previous: Solution | None
    ) -> float:
        """Return what the plan says."""
        del remaining, previous  # a plan needs neither
        return self.plan(budget, moment.steps)[moment.index]


_apportion = lru_cache(maxsize=256)(apportion)  # a plan is asked for again at each timestep


class Allocator:
    """Runs a policy over one sampling run, and makes its total exact.

    Args:
        policy: any `AllocationPolicy`; what it wishes is rounded and clamped.
        budget: iterations for the whole run, ≥ `steps`.
        steps: timesteps in the run, ≥ 1.
        moments: what is known of each of them, in order; None where there is no scheduler.
        calibration: what was measured of the model, for a policy that wants one; None if nothing.

    Raises:
        BudgetError: the budget cannot give every timestep one iteration.
        InvalidValueError: `budget` or `steps` is no whole number, there are not as many moments, or
            the policy needs a calibration that fits.
        PluginError: the policy raised, or what it begins a run with is no policy.

    Examples:
        >>> import fpdm
        >>> allocator = fpdm.Allocator(fpdm.allocation("constant"), budget=7, steps=3)
        >>> [allocator.next() for _ in range(3)]
        [2, 2, 3]
    """

    def __init__(
        self,
        policy: AllocationPolicy,
        *,
        budget: int,
        steps: int,
        moments: Sequence[Moment] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        check_affordable(budget, steps)
        if moments is not None and len(moments) != steps:
            raise InvalidValueError(
                f"{len(moments)} moments for {steps} timesteps: must be one each."
            )
        self.budget = budget
        self.steps = steps
        self.moments = places(steps) if moments is None else tuple(moments)
        self.policy = ask(
            lambda: policy.begin(self.moments, budget=budget, calibration=calibration),
            allocation=policy,
        )
        if not isinstance(self.policy, AllocationPolicy):
            raise PluginError(
                f"begin of {type(policy).__name__} returned {type(self.policy).__name__}: must be "
                f"an AllocationPolicy, such as the policy itself."
            )
        self.step = 0
        self.remaining = budget

    def next(self, previous: Solution | None = None) -> int:
        """Return the iterations of the next timestep, ≥ 1.

        Args:
            previous: the solution of the timestep before, for policies that look at it.

        Raises:
            BudgetError: all timesteps have had theirs.
            InvalidValueError: the policy answered with something that is not a number.
            PluginError: the policy raised.
        """
        if self.step == self.steps:
            raise BudgetError(f"All {self.steps} timesteps have had their iterations.")
        to_come = self.steps - self.step - 1
        granted = self.remaining
        if to_come:
            wish = ask(
                lambda: self.policy.iterations(
                    self.moments[self.step],
                    budget=self.budget,
                    remaining=self.remaining,
                    previous=previous,
                ),
                allocation=self.policy,
            )
            granted = round(max(1.0, min(self._number(wish), self.remaining - to_come)))
        self.step += 1
        self.remaining -= granted
        return granted

    def _number(self, wish: object) -> float:
        try:
            number = float(wish)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
        except OverflowError:  # an int beyond the floats
            number = math.inf if wish > 0 else -math.inf  # type: ignore[operator]
        if math.isnan(number):
            raise InvalidValueError(
                f"Allocation {type(self.policy).__name__} answered {wish!r} at step {self.step}: "
                f"must be a number of iterations."
            )
        return number


class Pool:
    """What samples that stopped on their own have left, for those that have not.

    A plan says what each timestep may cost a sample on average. What is not spent is saved, and a
    later timestep grants it in addition to its plan, up to `most` times that: only samples that
    have not stopped take it. So the average over the samples never exceeds the plan's total.

    Args:
        most: times the plan of a timestep that it grants at most, ≥ 1.

    Attributes:
        saved: evaluations for each sample, on average.

    Raises:
        InvalidValueError: `most` is no whole number ≥ 1.

    Examples:
        >>> from fractions import Fraction
        >>> pool = Pool()
        >>> pool.grant(2)
        2
        >>> pool.settle(2, spent=Fraction(1))
        >>> pool.grant(2)
        3
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = check_whole("most", most, minimum=1)
        self.saved = Fraction(0)

    def grant(self, planned: int) -> int:
        """Return the evaluations that a sample may take at a timestep, at least those planned.

        Args:
            planned: for this timestep, ≥ 1.
        """
        return min(planned + math.floor(self.saved), self.most * planned)

    def settle(self, planned: int, spent: Fraction) -> None:
        """Take in what a timestep has left, or has taken from what was saved.

        Args:
            planned: for this timestep.
            spent: on average over the samples, at most what was granted.
        """
        self.saved += planned - spent


def places(steps: int) -> tuple[Moment, ...]:
    """The moments of a run of which no more is known than how long it is.

    Args:
        steps: timesteps, ≥ 1.

    Examples:
        >>> [(place.index, place.steps) for place in places(3)]
        [(0, 3), (1, 3), (2, 3)]
    """
    found: list[Moment] = []
    for step in range(steps):
        found.append(Moment(step, steps, previous=found[-1] if found else None))
    return tuple(found)


def check_affordable(budget: int, steps: int) -> None:
    """Check that `budget` iterations can give each of `steps` timesteps at least one.

    Args:
        budget: iterations, ≥ 0.
        steps: timesteps, ≥ 1.

    Raises:
        BudgetError: they cannot; the message says how many would do.
        InvalidValueError: one of them is no whole number.
    """
    check_whole("steps", steps, minimum=1)
    check_whole("budget", budget, minimum=0)
    if budget < steps:
        raise BudgetError(
            f"budget={budget} cannot pay for {steps} timesteps of at least 1 iteration. "
            f"Use steps ≤ {budget} or budget ≥ {steps}."
        )
