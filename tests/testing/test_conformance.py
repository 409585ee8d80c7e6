"""Every component that comes with the package keeps the contract of its kind, by the public kit."""

import inspect

import pytest
from torch import nn

from fpdm.data import Dataset
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.models import MLP, FPUNet
from fpdm.plugins import host
from fpdm.testing import (
    check_allocation,
    check_dataset,
    check_gradient,
    check_init,
    check_network,
    check_solver,
)
from tests.testing.broken import allocations, datasets, gradients, inits, networks, solvers

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


SMALL = {"hidden_size": 16, "num_heads": 2, "width": 16}


@pytest.mark.parametrize("network", [found.cls for found in host().components("network")])
@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 3},
        {"num_classes": 3, "learn_sigma": True},
        {"num_classes": 3, "has_null_class": False},
        {"num_classes": 0},
        {"num_classes": 0, "has_null_class": False},
        {"num_classes": 0, "condition_size": 5},
        {"num_classes": 0, "condition_size": (2, 5), "has_null_class": False},
    ],
    ids=repr,
)
@pytest.mark.parametrize("size", [4, (4, 6)])
def test_networks(network, options, size):
    taken = inspect.signature(network).parameters
    if options.keys() <= taken.keys():
        small = {name: value for name, value in SMALL.items() if name in taken}
        check_network(network(sample_size=size, in_channels=2, **options, **small))


@pytest.mark.parametrize("size", [(), (6,), (2, 3, 4)])
@pytest.mark.parametrize("network", [MLP, FPUNet])
def test_networks_of_samples_that_are_no_images(network, size):
    if size or network is MLP:
        options = {"halvings": 0} if 3 in size else {}
        check_network(
            network(
                sample_size=size,
                in_channels=2,
                num_classes=3,
                width=16,
                **({} if network is MLP else options),
            )
        )


def test_datasets_that_need_no_files():
    without = [
        found.cls
        for found in host().components("dataset")
        if not inspect.signature(found.cls).parameters
    ]
    assert without
    for cls in without:
        check_dataset(cls)


def test_what_is_broken_below_keeps_every_law_before():
    check_solver(solvers.Plain)
    check_gradient(gradients.Estimator)
    check_network(networks.Whole)
    check_dataset(datasets.Whole)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (networks.Free, "pre_passes=1.0 is no int"),
        (networks.Nought, "null_class=0, of 3"),
        (networks.Bare, "Tensor is no Denoised"),
        (networks.Widens, r"became \(3, 6, 8, 8\), not \(3, 2, 8, 8\)"),
        (networks.Blurs, "alone equals the sample in its batch"),
        (networks.Mistakes, "the others go on as they would alone"),
        (networks.Deaf, "timestep makes no difference"),
        (networks.Featureless, "There are no features"),
        (networks.Sticks, "evaluations, not 1|made 3 evaluations"),
        (networks.Forgetful, "A history changes nothing"),
        (networks.Remembers, "gives another prediction|equals the sample|is the same"),
        (networks.Draws, "was seeded or used"),
        (networks.Idle, r"idle\.weight gets no gradient"),
        (networks.Loses, "predicts something else"),
        (networks.Demands, "cannot be built with sample_size=8"),
        (networks.Unsaved, "derive it from fpdm.models.SavedNetwork"),
    ],
)
def test_a_network_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_network(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (datasets.Empty, "There is no sample"),
        (datasets.Names, r"Names of the classes \[2\], of 2"),
        (datasets.Bright, r"must be in \[-1, 1\]"),
        (datasets.Doubles, "Images are torch.float64"),
        (datasets.Counts, "are not from 0 to 1"),
        (datasets.Centres, "differ in another batch"),
        (datasets.Rolls, "was seeded or used"),
        (datasets.Holds, "cannot be sent to a worker"),
        (datasets.Wraps, "Sample 10 of 10 was not refused"),
    ],
)
def test_a_data_set_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_dataset(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (solvers.Overspends, "exactly the evaluations granted"),
        (solvers.Mixes, "find the fixed point|alone equals"),
        (solvers.Spreads, "The residual stated is inf"),
        (solvers.Narrows, "memory format"),
        (solvers.Overwrites, "written to"),
        (solvers.Waits, "waits for the device"),
        (solvers.Detaches, "finite differences"),
        (solvers.Swallows, "option that there is not"),
        (solvers.Diverges, "find the fixed point"),
        (solvers.Ignores, "Negative evaluations"),
        (solvers.Flatters, "evaluation that was made"),
        (solvers.Magnifies, "evaluation that was made"),
        (solvers.Claims, "out of reach"),
        (solvers.Forgets, "carried"),
        (solvers.Cuts, "misses what is carried"),
        (solvers.Halves, "torch.float16"),
        (solvers.Patches, "inf or NaN"),
        (solvers.Runs, "of 101"),
        (solvers.Deaf, "With a tolerance each sample"),
        (solvers.Coarse, "With a tolerance each sample"),
        (solvers.Crowds, "alone equals|for .6,|find the fixed point"),
        (solvers.Stops, "for .6, 70"),
        (solvers.Seeds, "was seeded or used"),
        (solvers.Hoards, "though carry is False"),
        (solvers.Tires, "finite differences"),
        (solvers.Starts, "finite differences"),
        (solvers.Widens, "f was asked of|With a tolerance"),
        (solvers.Namely, "is no Solution"),
    ],
)
def test_a_solver_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_solver(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (allocations.Remembers, "keeps nothing"),
        (allocations.Falls, "is a number|spent exactly"),
        (allocations.Replans, "what a run is granted"),
        (allocations.Insists, "keeps nothing"),
        (allocations.Erases, "was overwritten"),
    ],
)
def test_an_allocation_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_allocation(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (inits.Far, "further back"),
        (inits.Doubles, "typed like the features"),
        (inits.Scribbles, "left as they are"),
        (inits.Averages, "that sample alone"),
        (inits.Guesses, "nothing is drawn"),
        (inits.Erodes, "left as they are"),
        (inits.Blends, "that sample alone"),
        (inits.Coarsens, "torch.float16 became torch.float32"),
    ],
)
def test_an_init_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_init(cls)


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (gradients.Miscounts, "evaluations stated"),
        (gradients.Cuts, "gets a gradient"),
        (gradients.Rolls, "was seeded or used"),
        (gradients.Alternates, "same generator"),
        (gradients.Flips, "right sign and size"),
        (gradients.Shrinks, "no farther from the fixed point"),
        (gradients.Explodes, "right sign and size"),
        (gradients.Evens, "that sample alone"),
        (gradients.Flattens, "became"),
        (gradients.Needs, "without a generator"),
        (gradients.Doubts, "became torch.float64"),
        (gradients.Lies, "99 stated"),
        (gradients.Enables, "no_grad"),
    ],
)
def test_an_estimator_that_breaks_a_law_is_told_which(cls, law):
    with pytest.raises(AssertionError, match=law):
        check_gradient(cls)


def test_a_law_that_there_is_not_cannot_be_left_out():
    with pytest.raises(InvalidValueError, match="no law that may be left out is named waits"):
        check_solver(solvers.Plain, without=["waits"])


def test_what_is_no_component_is_told_so():
    for check, base in (
        (check_solver, FixedPointSolver),
        (check_allocation, AllocationPolicy),
        (check_init, InitStrategy),
        (check_gradient, GradientEstimator),
        (check_network, nn.Module),
        (check_dataset, Dataset),
    ):
        with pytest.raises(AssertionError, match=f"is no {base.__name__}"):
            check(int)

    class Nameless(solvers.Plain):
        name = None

    class Demanding(solvers.Plain):
        def __init__(self, needed):
            pass

    with pytest.raises(AssertionError, match="has no name"):
        check_solver(Nameless)
    with pytest.raises(AssertionError, match="without arguments"):
        check_solver(Demanding)
