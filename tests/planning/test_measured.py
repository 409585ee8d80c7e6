"""The measured allocation is the cheapest of all plans, whatever the curves are."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fpdm
from fpdm.errors import InvalidValueError
from fpdm.testing.calibrations import calibration_for
from fpdm.testing.strategies import affordable, moments, seeds, sorts
from fpdm_allocation.measured import cheapest, whole_curves


@st.composite
def curves(draw) -> list[list[float]]:
    steps, most = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    one = st.lists(st.floats(-10, 10), min_size=most, max_size=most)
    return draw(st.lists(one, min_size=steps, max_size=steps))


def cost(curves, plan) -> float:
    return sum(curve[min(k, len(curve)) - 1] for curve, k in zip(curves, plan, strict=True))


@given(curves(), st.integers(0, 30))
def test_no_plan_of_the_same_budget_costs_less(curves, spare):
    steps, most = len(curves), len(curves[0])
    budget = steps + spare
    plan = cheapest(curves, budget)
    assert sum(plan) == budget
    assert min(plan) >= 1
    if budget <= steps * most:
        every = itertools.product(range(1, most + 1), repeat=steps)
        least = min(cost(curves, each) for each in every if sum(each) == budget)
        assert cost(curves, plan) == pytest.approx(least, abs=1e-9)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**9))
def test_more_than_was_measured_is_shared_evenly(steps, most, extra):
    plan = cheapest([[0.0] * most] * steps, steps * most + extra)
    assert sum(plan) == steps * most + extra
    assert max(plan) - min(plan) <= 1


def test_convex_curves_are_served_where_the_next_iteration_helps_most():
    halves = [[weight / 2**k for k in range(9)] for weight in (1.0, 4.0, 16.0)]
    assert cheapest(halves, 9) == [1, 3, 5]


@given(run=affordable(most=60), sort=sorts, seed=seeds)
def test_it_spends_exactly_and_as_planned(run, sort, seed):
    budget, steps = run
    known = moments(steps, sort)
    calibration = calibration_for(known, seed=seed)
    for policy in (
        fpdm.allocation("measured"),
        fpdm.allocation("measured", calibration=calibration),
    ):
        allocator = fpdm.Allocator(
            policy, budget=budget, steps=steps, moments=known, calibration=calibration
        )
        spent = [allocator.next() for _ in range(steps)]
        assert spent == cheapest(whole_curves(calibration.sensitivities[0], steps), budget)


def test_without_a_calibration_it_says_where_to_get_one():
    with pytest.raises(InvalidValueError, match="fpdm calibrate"):
        fpdm.Allocator(fpdm.allocation("measured"), budget=10, steps=3)
    with pytest.raises(InvalidValueError, match="There is no calibration at"):
        fpdm.allocation("measured", calibration="nowhere/calibration.json")
    with pytest.raises(InvalidValueError, match="must be the path"):
        fpdm.allocation("measured", calibration=3)


def test_it_reads_the_file_that_it_is_given(tmp_path):
    calibration = calibration_for(moments(4))
    path = calibration.write(tmp_path)
    assert fpdm.allocation("measured", calibration=str(path)).calibration == calibration
    assert fpdm.allocation("measured", calibration=tmp_path).calibration == calibration
