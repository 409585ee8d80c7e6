"""Every allocation spends exactly its budget."""

import math
from itertools import pairwise

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fpdm
from fpdm.allocator import WeightedAllocation, apportion
from fpdm.errors import BudgetError, InvalidValueError, PluginError
from fpdm.interfaces import AllocationPolicy
from fpdm.sampling import iteration_budget
from fpdm.testing.strategies import affordable
from fpdm_allocation.adaptive import influences, levelled
from tests.built_ins import allocation, built_ins

NAMES = built_ins()["allocation"]
PLANNED = [name for name in NAMES if hasattr(fpdm.allocation(name), "plan")]
weights = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


def solution(residual: float, batch: int = 3) -> fpdm.Solution:
    return fpdm.Solution(
        value=torch.zeros(batch, 2),
        evals=1,
        residual=torch.full((batch,), residual),
        status=torch.zeros(batch, dtype=torch.int64),
    )


def spend(policy: AllocationPolicy, budget: int, steps: int, residuals=None) -> list[int]:
    allocator = fpdm.Allocator(policy, budget=budget, steps=steps)
    spent, previous = [], None
    for step in range(steps):
        spent.append(allocator.next(previous=previous))
        previous = solution(residuals[step % len(residuals)] if residuals else 0.1)
    return spent


@pytest.mark.parametrize("name", NAMES)
@given(
    run=affordable(),
    residuals=st.lists(
        st.floats(0, math.inf, width=32) | st.just(math.nan), min_size=1, max_size=5
    ),
)
def test_every_allocation_spends_exactly_its_budget(name, run, residuals):
    budget, steps = run
    spent = spend(allocation(name), budget, steps, residuals)
    assert sum(spent) == budget
    assert min(spent) >= 1
    assert all(type(count) is int for count in spent)


@pytest.mark.parametrize("name", PLANNED)
@given(run=affordable())
def test_a_plan_is_what_the_allocator_grants(name, run):
    budget, steps = run
    policy = allocation(name)
    assert tuple(spend(policy, budget, steps)) == policy.plan(budget=budget, steps=steps)


@given(run=affordable())
def test_increasing_never_falls_and_decreasing_is_its_mirror_image(run):
    budget, steps = run
    rising = fpdm.allocation("increasing").plan(budget=budget, steps=steps)
    assert list(rising) == sorted(rising)
    assert fpdm.allocation("decreasing").plan(budget=budget, steps=steps) == rising[::-1]


def test_increasing_is_a_ramp_from_half_to_one_and_a_half():
    assert fpdm.allocation("increasing").plan(budget=120, steps=3) == (20, 40, 60)
    assert sum(fpdm.allocation("increasing").plan(budget=100, steps=7)) == 100


@given(run=affordable())
def test_constant_differs_by_at_most_one(run):
    budget, steps = run
    plan = fpdm.allocation("constant").plan(budget=budget, steps=steps)
    assert max(plan) - min(plan) <= 1


def known(levels, previous=None) -> tuple[fpdm.Moment, ...]:
    """Moments of a run with these log-SNRs."""
    found = []
    for index, level in enumerate(levels):
        found.append(fpdm.Moment(index, len(levels), None, level, previous))
    return tuple(found)


def solved(start: float, end: float, evals: int = 2) -> fpdm.Solution:
    return attrs.evolve(solution(end), evals=evals, start_residual=torch.full((3,), start))


LEVELS = [-10, -6, -4, -2, 0, 2, 5, 9]


def adaptive_run(budget: int, seen: list[fpdm.Solution], levels=LEVELS) -> list[int]:
    run = fpdm.Allocator(
        fpdm.allocation("adaptive"), budget=budget, steps=len(levels), moments=known(levels)
    )
    return [run.next(before) for before in [None, *seen, *seen[-1:] * len(levels)][: len(levels)]]


def test_adaptive_gives_most_where_an_error_reaches_the_picture():
    spent = adaptive_run(24, [solved(0.1, 0.05)])
    assert spent[0] == 1
    assert max(spent) == max(spent[2:6]) > 3
    assert spent[-1] < max(spent)


def test_adaptive_gives_more_where_a_solve_starts_farther_from_its_solution():
    calm = [solved(0.1, 0.05)] * 4
    stirred = [*calm[:3], solved(0.4, 0.2)]
    assert adaptive_run(40, stirred)[4] > adaptive_run(40, calm)[4]
    quiet = [*calm[:3], solved(0.025, 0.0125)]
    assert adaptive_run(40, quiet)[4] < adaptive_run(40, calm)[4]


def test_adaptive_differs_more_where_iterations_do_less():
    fast, slow = (adaptive_run(64, [solved(1.0, rate)]) for rate in (0.3, 0.75))
    assert max(slow) - min(slow) > max(fast) - min(fast)


def test_adaptive_shares_evenly_where_nothing_is_known():
    run = fpdm.Allocator(fpdm.allocation("adaptive"), budget=23, steps=5)
    assert [run.next() for _ in range(5)] in ([5, 4, 5, 4, 5], [5, 5, 4, 5, 4], [5, 4, 5, 5, 4])
    assert not hasattr(fpdm.allocation("adaptive"), "plan")


@given(run=affordable(most=60), start=st.floats(1e-6, 1e3), rate=st.floats(0.01, 2))
def test_adaptive_never_starves_the_end(run, start, rate):
    budget, steps = run
    levels = [-10 + 20 * index / steps for index in range(steps)]
    spent = adaptive_run(budget, [solved(start, start * rate)], levels)
    assert sum(spent) == budget
    assert min(spent) >= 1
    if steps > 2 and budget >= 2 * steps:  # what is left does not pile up on the last
        assert spent[-1] <= max(spent[:-1]) + 1


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.floats(0, 300))
def test_water_is_level_where_it_stands(levels, extra):
    total = len(levels) + extra
    found = levelled(levels, total)
    assert sum(found) == pytest.approx(total)
    assert min(found) >= 1
    above = [(count - level) for count, level in zip(found, levels, strict=True) if count > 1]
    if above:
        assert max(above) == pytest.approx(min(above), abs=1e-6)
        under = [1 - level for count, level in zip(found, levels, strict=True) if count == 1]
        assert all(shift >= max(above) - 1e-6 for shift in under)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=40))
def test_influence_is_a_share_of_the_picture(levels):
    found = influences(known(sorted(levels)))
    assert all(0 <= share <= 1 for share in found)
    assert influences(known([-math.inf, *sorted(levels)]))[1:] == found
    assert influences(known([None, *levels])) == [1.0] * (len(levels) + 1)


def test_shares_are_the_iterations_where_they_add_up():
    weighted = fpdm.allocation("weighted", shares=[3, 1, 2])
    assert weighted.plan(budget=6, steps=3) == (3, 1, 2)
    assert weighted.plan(budget=12, steps=3) == (6, 2, 4)
    assert fpdm.allocation("weighted").plan(budget=7, steps=3) == (2, 2, 3)
    with pytest.raises(InvalidValueError, match="3 weights for 4 timesteps"):
        weighted.plan(budget=8, steps=4)
    for wrong in ([], [-1.0], [math.nan], 3, ["many"]):
        with pytest.raises(InvalidValueError, match="shares"):
            fpdm.allocation("weighted", shares=wrong)


class Begins(AllocationPolicy):
    """Begins a run with what it is told to."""

    name = "begins"

    def __init__(self, first):
        self.first = first

    def begin(self, moments, *, budget, calibration=None):
        self.told = len(moments), budget, calibration
        return self.first

    def iterations(self, *_, **__):
        raise AssertionError("a run asks what it began with")


def test_a_run_asks_what_a_policy_begins_it_with():
    policy = Begins(fpdm.allocation("weighted", shares=[1, 5]))
    allocator = fpdm.Allocator(policy, budget=6, steps=2)
    assert policy.told == (2, 6, None)
    assert [allocator.next(), allocator.next()] == [1, 5]
    with pytest.raises(PluginError, match="begin of Begins returned NoneType"):
        fpdm.Allocator(Begins(None), budget=6, steps=2)


@attrs.frozen
class Says(AllocationPolicy):
    answer: object

    def iterations(self, *_, **__):
        return self.answer


@given(
    run=affordable(most=40),
    answer=st.one_of(
        st.integers(),
        st.floats(allow_nan=True),
        st.sampled_from([0, -1, 10**400, -(10**400), math.inf, None, "many", 1j, True]),
    ),
)
def test_a_hostile_policy_spends_exactly_its_budget_or_is_named(run, answer):
    budget, steps = run
    number = isinstance(answer, (int, float)) and not (
        isinstance(answer, float) and math.isnan(answer)
    )
    if number or steps == 1:
        spent = spend(Says(answer), budget, steps)
        assert sum(spent) == budget
        assert min(spent) >= 1
    else:
        with pytest.raises(InvalidValueError, match="Says answered"):
            spend(Says(answer), budget, steps)


def test_the_allocator_ends_with_its_timesteps():
    allocator = fpdm.Allocator(fpdm.allocation("constant"), budget=4, steps=2)
    assert [allocator.next(), allocator.next()] == [2, 2]
    with pytest.raises(BudgetError, match="All 2 timesteps"):
        allocator.next()


@given(weights=weights, extra=st.integers(0, 500), minimum=st.integers(0, 3))
def test_apportion_is_exact_and_as_close_as_whole_numbers_can_be(weights, extra, minimum):
    budget = minimum * len(weights) + extra
    shares = apportion(weights, budget, minimum)
    assert sum(shares) == budget
    assert min(shares) >= minimum
    total = math.fsum(weights)
    ideal = (
        [w / total * budget for w in weights] if total else [budget / len(weights)] * len(weights)
    )
    if min(ideal) >= minimum:
        assert all(abs(share - wish) < 1 + 1e-6 for share, wish in zip(shares, ideal, strict=True))
    order = sorted(range(len(weights)), key=lambda i: weights[i])
    heavier = [(shares[a], shares[b]) for a, b in pairwise(order) if weights[a] < weights[b]]
    assert all(less <= more for less, more in heavier)


@pytest.mark.parametrize("bad", [[-1.0, 2.0], [math.nan], [math.inf, 1.0]])
def test_apportion_refuses_weights_that_are_none(bad):
    with pytest.raises(InvalidValueError, match="finite numbers ≥ 0"):
        apportion(bad, 10)


@pytest.mark.parametrize(
    ("budget", "iterations"), [(10, (3, 3)), (6, (6, 0)), (0, ()), (4, (5, -1))]
)
def test_a_plan_with_a_wrong_sum_cannot_be_built(budget, iterations):
    if not iterations and budget == 0:
        iterations = (0,)
    with pytest.raises(BudgetError, match="add up to"):
        fpdm.Plan(budget=budget, iterations=iterations)


def test_a_plan_of_anything_but_whole_numbers_cannot_be_built():
    with pytest.raises(TypeError):
        fpdm.Plan(budget=2, iterations=(1.9, 1.2))


@given(weights=weights, extra=st.integers(0, 500))
def test_falling_weights_give_a_falling_plan(weights, extra):
    falling = [sum(weights) + 1, *sorted(weights, reverse=True)]
    shares = apportion(falling, len(falling) + extra)
    assert list(shares) == sorted(shares, reverse=True)


def test_weights_for_another_number_of_timesteps_are_refused():
    @attrs.frozen
    class Short(WeightedAllocation):
        def weights(self, steps):
            return [1.0] * (steps - 1)

    with pytest.raises(InvalidValueError, match="Short gave 2 weights for 3 timesteps"):
        Short().plan(9, 3)


@given(run=affordable(most=20))
def test_a_policy_given_by_weights_alone_is_exact(run):
    @attrs.frozen
    class Endpoints(WeightedAllocation):
        def weights(self, steps):
            return [float(step in (0, steps - 1)) for step in range(steps)]

    budget, steps = run
    assert sum(Endpoints().plan(budget, steps)) == budget


@given(
    steps=st.integers(1, 100),
    pre=st.integers(0, 8),
    post=st.integers(0, 8),
    spare=st.integers(1, 2000),
)
def test_block_passes_are_explicit_layers_plus_iterations(steps, pre, post, spare):
    call = {"steps": steps, "pre_passes": pre, "post_passes": post}
    budget = steps * (pre + post) + spare
    if spare < steps:
        with pytest.raises(BudgetError, match="cannot pay"):
            iteration_budget(budget, **call)
    else:
        assert iteration_budget(budget, **call) == spare


def test_a_budget_that_cannot_pay_says_what_it_can_pay_for():
    with pytest.raises(BudgetError) as caught:
        iteration_budget(30, steps=20, pre_passes=1, post_passes=1)
    assert str(caught.value) == (
        "budget=30 cannot pay for 20 steps: 20 × (1 pre + 1 post + 1 iteration) = 60 block passes. "
        "Use num_inference_steps ≤ 10 or budget ≥ 60."
    )
    with pytest.raises(BudgetError, match="does not divide"):
        iteration_budget(30, steps=2, pre_passes=12, post_passes=0, implicit=False)
    with pytest.raises(BudgetError, match="Use steps ≤ 3 or budget ≥ 4"):
        fpdm.allocation("constant").plan(budget=3, steps=4)
