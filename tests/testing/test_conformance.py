"""Every component that comes with the package keeps the contract of its kind, by the public kit."""

import pytest

from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.plugins import host
from fpdm.testing import check_allocation, check_gradient, check_init, check_solver
from tests.testing import broken

OPTIONS = {  # beyond the defaults
    "naive": [{"damping": 0.7}],
    "anderson": [
        {"kind": "I"},
        {"mixing": 0.6},
        {"kind": "I", "mixing": 0.6},
        {"memory": 1},
        {"memory": 10, "ridge": 0.0},
        {"carry": True},
    ],
    "broyden": [{"rank": 1}, {"rank": 30}, {"carry": True}],
}
ACCURACY = {"torchdeq-anderson": 1e-4}  # its absolute ridge leaves little of the acceleration

WITHOUT = {  # torchdeq looks at what it has computed, and divides by zero past convergence
    "torchdeq-anderson": ["waits_for_nothing"],
    "torchdeq-broyden": ["waits_for_nothing", "has_a_gradient_past_convergence"],
}


def built(kind: str):
    return [
        pytest.param(found.cls(**options), id=f"{found.name} {options or ''}".strip())
        for found in host().components(kind)
        for options in ({}, *OPTIONS.get(found.name, []))
    ]


@pytest.mark.parametrize("solver", built("solver"))
def test_solvers(solver):
    check_solver(solver, accuracy=ACCURACY.get(solver.name), without=WITHOUT.get(solver.name, ()))


@pytest.mark.parametrize("allocation", built("allocation"))
def test_allocations(allocation):
    check_allocation(allocation)


@pytest.mark.parametrize("init", built("init"))
def test_inits(init):
    check_init(init)


@pytest.mark.parametrize("gradient", built("gradient"))
def test_gradients(gradient):
    check_gradient(gradient)


def test_what_is_broken_below_keeps_every_law_before():
    check_solver(broken.Plain)
    check_gradient(broken.Estimator)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (broken.Overspends, "exactly the evaluations granted"),
        (broken.Mixes, "find the fixed point|alone equals"),
        (broken.Spreads, "The residual stated is inf"),
        (broken.Narrows, "memory format"),
        (broken.Overwrites, "written to"),
        (broken.Waits, "waits for the device"),
        (broken.Detaches, "finite differences"),
        (broken.Swallows, "option that there is not"),
        (broken.Diverges, "find the fixed point"),
        (broken.Ignores, "Negative evaluations"),
        (broken.Flatters, "evaluation that was made"),
        (broken.Magnifies, "evaluation that was made"),
        (broken.Claims, "out of reach"),
        (broken.Forgets, "carried"),
        (broken.Graphs, "carried"),
        (broken.Halves, "torch.float16"),
        (broken.Patches, "inf or NaN"),
        (broken.Runs, "of 101"),
        (broken.Deaf, "With a tolerance each sample"),
        (broken.Coarse, "With a tolerance each sample"),
        (broken.Crowds, "alone equals|for .6,|find the fixed point"),
        (broken.Stops, "for .6, 70"),
        (broken.Seeds, "was seeded or used"),
        (broken.Hoards, "though carry is False"),
        (broken.Tires, "finite differences"),
        (broken.Starts, "finite differences"),
        (broken.Widens, "f was asked of|With a tolerance"),
        (broken.Namely, "is no Solution"),
    ],
)
def test_a_solver_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_solver(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (broken.Remembers, "keeps nothing"),
        (broken.Falls, "is a number|spent exactly"),
        (broken.Replans, "what a run is granted"),
        (broken.Insists, "keeps nothing"),
        (broken.Erases, "was overwritten"),
    ],
)
def test_an_allocation_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_allocation(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (broken.Far, "further back"),
        (broken.Doubles, "typed like the features"),
        (broken.Scribbles, "left as they are"),
        (broken.Averages, "that sample alone"),
        (broken.Guesses, "nothing is drawn"),
        (broken.Erodes, "left as they are"),
        (broken.Blends, "that sample alone"),
        (broken.Coarsens, "torch.float16 became torch.float32"),
    ],
)
def test_an_init_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_init(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (broken.Miscounts, "evaluations stated"),
        (broken.Cuts, "gets a gradient"),
        (broken.Rolls, "was seeded or used"),
        (broken.Alternates, "same generator"),
        (broken.Flips, "right sign and size"),
        (broken.Shrinks, "no farther from the fixed point"),
        (broken.Explodes, "right sign and size"),
        (broken.Evens, "that sample alone"),
        (broken.Flattens, "became"),
        (broken.Needs, "without a generator"),
        (broken.Doubts, "became torch.float64"),
        (broken.Lies, "99 stated"),
        (broken.Enables, "no_grad"),
    ],
)
def test_an_estimator_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_gradient(cls)


def test_a_law_that_there_is_not_cannot_be_left_out():
    with pytest.raises(InvalidValueError, match="no law that may be left out is named waits"):
        check_solver(broken.Plain, without=["waits"])


def test_what_is_no_component_is_told_so():
    for check, base in (
        (check_solver, FixedPointSolver),
        (check_allocation, AllocationPolicy),
        (check_init, InitStrategy),
        (check_gradient, GradientEstimator),
    ):
        with pytest.raises(AssertionError, match=f"is no {base.__name__}"):
            check(int)

    class Nameless(broken.Plain):
        name = None

    class Demanding(broken.Plain):
        def __init__(self, needed):
            pass

    with pytest.raises(AssertionError, match="has no name"):
        check_solver(Nameless)
    with pytest.raises(AssertionError, match="without arguments"):
        check_solver(Demanding)
