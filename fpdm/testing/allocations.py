"""The laws of an allocation policy."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, SupportsFloat

import torch
from hypothesis import given
from hypothesis import strategies as st

from fpdm.allocator import Allocator
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy
from fpdm.solution import Solution, Status
from fpdm.testing.calibrations import calibration_for
from fpdm.testing.laws import Law, check, quick, undisturbed
from fpdm.testing.strategies import affordable, moments, seeds, sorts

residuals = st.lists(st.floats(0, math.inf, width=32) | st.just(math.nan), min_size=1, max_size=5)


def check_allocation(allocation: type[AllocationPolicy] | AllocationPolicy) -> None:
    """Hold an allocation policy to its contract: exact sums, whole answers, no memory of its own.

    Args:
        allocation: a class that can be built without arguments, or an object.

    Raises:
        AssertionError: a law is broken; the message says which.
    """
    check(allocation, base=AllocationPolicy, laws=LAWS)


def spends_exactly(policy: AllocationPolicy) -> None:
    """Every budget is spent exactly, with at least one iteration at each timestep."""

    @quick
    @given(run=affordable(), levels=residuals, sort=sorts, seed=seeds)
    def run(run: tuple[int, int], levels: list[float], sort: str, seed: int) -> None:
        budget, steps = run
        for allocator in _allocators(policy, budget, steps, sort, seed):
            spent = _spend(allocator, levels)
            assert sum(spent) == budget, f"{sum(spent)} of {budget} were spent."
            assert min(spent) >= 1, f"A timestep of {spent} got nothing."

    run()


def answers_with_a_number(policy: AllocationPolicy) -> None:
    """The answer is a number, whatever is known of the timestep, and of the one before."""

    @quick
    @given(run=affordable(), level=st.floats(0, math.inf, width=32) | st.just(math.nan), sort=sorts)
    def run(run: tuple[int, int], level: float, sort: str) -> None:
        budget, steps = run
        last = moments(steps, sort)[-1]
        for allocator in _allocators(policy, budget, steps, sort):
            for previous in (None, _solution(level), _solution(level, samples=0)):
                wish = allocator.policy.iterations(
                    last, budget=budget, remaining=budget, previous=previous
                )
                assert isinstance(wish, SupportsFloat), f"{wish!r} is no number."
                assert not math.isnan(float(wish)), "The answer is NaN."

    run()


def remembers_nothing(policy: AllocationPolicy) -> None:
    """Two runs with the same policy spend the same: it keeps nothing from one to the next."""
    runs: tuple[tuple[int, int, list[float]], ...]
    runs = ((100, 12, [0.5, 0.1, 0.01]), (40, 30, [1.0]), (100, 12, [1e-4]), (300, 12, [0.5]))

    def spend(policy: AllocationPolicy, budget: int, steps: int, levels: list[float]) -> list[Any]:
        return [_spend(each, levels) for each in _allocators(policy, budget, steps)]

    fresh = [spend(copy.deepcopy(policy), *run) for run in runs]
    for _ in range(2):
        for run, first in zip(runs, fresh, strict=True):
            again = spend(policy, *run)
            assert again == first, f"{first} became {again}."


def leaves_the_last_solution_alone(policy: AllocationPolicy) -> None:
    """The solution before is read and not written to, and nothing is drawn or seeded."""
    previous = _solution(0.3)
    second = moments(4)[1]
    for allocator in _allocators(policy, 20, 4):
        ask = partial(
            allocator.policy.iterations, second, budget=20, remaining=15, previous=previous
        )
        undisturbed(ask, previous)


def plans_what_it_grants(policy: AllocationPolicy) -> None:
    """A plan, where the policy has one, is what a run is granted."""
    if not hasattr(policy, "plan"):
        return

    @quick
    @given(run=affordable())
    def run(run: tuple[int, int]) -> None:
        budget, steps = run
        plan = policy.plan(budget=budget, steps=steps)
        for sort in ("known", "unknown"):
            for allocator in _allocators(policy, budget, steps, sort):
                spent = tuple(_spend(allocator, [0.1]))
                assert tuple(plan) == spent, f"The plan is {tuple(plan)}, and {spent} was granted."

    run()


LAWS: tuple[Law, ...] = (
    spends_exactly,
    answers_with_a_number,
    remembers_nothing,
    leaves_the_last_solution_alone,
    plans_what_it_grants,
)


def _allocators(
    policy: AllocationPolicy, budget: int, steps: int, sort: str = "known", seed: int = 0
) -> Iterator[Allocator]:
    """Begin a run: without a calibration, and for a policy that looks at one also with one."""
    run = moments(steps, sort)
    known = run if sort != "unknown" else None
    try:
        yield Allocator(policy, budget=budget, steps=steps, moments=known)
    except InvalidValueError:
        if not policy.calibrated:
            raise
    if policy.calibrated:
        made = calibration_for(run, seed=seed)
        yield Allocator(policy, budget=budget, steps=steps, moments=known, calibration=made)


def _spend(allocator: Allocator, levels: list[float]) -> list[int]:
    spent: list[int] = []
    previous = None
    for step in range(allocator.steps):
        spent.append(allocator.next(previous))
        previous = _solution(levels[step % len(levels)])
    return spent


def _solution(residual: float, samples: int = 3) -> Solution:
    return Solution(
        value=torch.zeros(samples, 2),
        evals=2,
        residual=torch.full((samples,), residual),
        status=torch.full((samples,), int(Status.BUDGET_SPENT)),
        start_residual=torch.full((samples,), 3 * residual),
    )
