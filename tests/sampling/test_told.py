"""A run tells allocations and inits where they are, and what has been."""

import pytest
import torch

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.moments import moments
from fpdm.errors import InvalidValueError, PluginError
from tests.toys import tiny


class Watching(fpdm.AllocationPolicy):
    """Equal shares, and a note of what it was told."""

    name = "watching"

    def __init__(self):
        self.told = []

    def iterations(self, moment, *, remaining, previous, **_):
        self.told.append((moment, previous))
        return remaining / (moment.steps - moment.index)


class Remembering(fpdm.InitStrategy):
    """`reuse`, and a note of what it was told."""

    name, lookback = "remembering", 2

    def __init__(self):
        self.told = []

    def initial(self, features, history, moment):
        self.told.append((features, tuple(history), moment))
        return history[-1].solution.value if history else features


def run(model=None, *, steps=4, **options):
    scheduler = Diffusion().scheduler()
    scheduler.set_timesteps(steps)
    with torch.no_grad():
        latents, labels = torch.randn(3, 1, 4, 4), torch.arange(3)
        budget = steps * 4
        made = fpdm.sample(model or tiny(), scheduler, latents, labels, budget=budget, **options)
        return list(made), moments(scheduler)


def test_an_allocation_is_told_each_moment_and_the_solution_before():
    policy = Watching()
    steps, expected = run(allocation=policy)
    assert [moment for moment, _ in policy.told] == list(expected)[:-1]  # the last gets the rest
    solutions = [previous for _, previous in policy.told]
    assert solutions[0] is None
    for previous, step in zip(solutions[1:], steps, strict=False):
        assert torch.equal(previous.value, step.solution.value)


def test_an_init_is_told_each_moment_and_the_timesteps_before():
    init = Remembering()
    steps, expected = run(init=init)
    assert [moment for *_, moment in init.told] == list(expected)
    for index, (_, history, _) in enumerate(init.told):
        assert [visited.moment for visited in history] == list(expected)[max(0, index - 2) : index]
        for visited in history:
            before = visited.moment.index
            assert torch.equal(visited.features, init.told[before][0])
            assert torch.equal(visited.solution.value, steps[before].solution.value)


@pytest.mark.parametrize("interval", [(0.5, 1.0), (0.0, 0.5)])
def test_where_guidance_begins_or_ends_features_fit_the_batch_too(interval):
    init = Remembering()
    run(init=init, guidance_scale=2.0, guidance_interval=interval)
    for features, history, _ in init.told:
        for visited in history:
            assert visited.features.shape == visited.solution.value.shape == features.shape


def test_without_a_run_a_policy_is_told_its_place_alone():
    policy = Watching()
    allocator = fpdm.Allocator(policy, budget=9, steps=3)
    assert [allocator.next() for _ in range(3)] == [3, 3, 3]
    assert [moment for moment, _ in policy.told] == [fpdm.Moment(0, 3), fpdm.Moment(1, 3)]
    assert policy.told[1][0].previous == fpdm.Moment(0, 3)
    assert policy.told[1][0].timestep is policy.told[1][0].log_snr is None


def test_there_is_one_moment_for_each_timestep():
    known = [fpdm.Moment(0, 2), fpdm.Moment(1, 2)]
    with pytest.raises(InvalidValueError, match="2 moments for 3 timesteps"):
        fpdm.Allocator(Watching(), budget=9, steps=3, moments=known)


def test_an_explicit_network_has_nothing_to_go_on_from():
    with pytest.raises(PluginError, match="no solution with features"):
        fpdm.Denoised(torch.zeros(1)).visited()
