"""What is known of the timesteps of a run before it begins, as plain numbers."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import EDMEulerScheduler
from hypothesis import given
from hypothesis import strategies as st

from fpdm.diffusion import Diffusion, samplers
from fpdm.diffusion.moments import log_snr, moments
from fpdm.diffusion.spread import set_timesteps


def alphas(zero_terminal: bool = False) -> list[float]:
    """ᾱ of the process of training, in float64, from its definition."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    signal = (1 - betas).cumprod(0).sqrt()
    if zero_terminal:  # Lin et al. 2024
        signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
    return (signal**2).tolist()


@pytest.mark.parametrize("name", samplers.DIFFUSION)
@given(steps=st.integers(2, 60))
def test_the_noise_of_a_timestep_is_that_of_the_process(name, steps):
    scheduler = Diffusion().scheduler(name)
    set_timesteps(scheduler, steps)
    signal = alphas()
    for moment, timestep in zip(moments(scheduler), scheduler.timesteps.tolist(), strict=True):
        assert type(moment.timestep) is type(moment.log_snr) is float
        assert moment.timestep == timestep
        low = math.floor(timestep)
        between = signal[low] + (timestep - low) * (signal[min(low + 1, 999)] - signal[low])
        assert moment.log_snr == pytest.approx(math.log(between / (1 - between)), abs=1e-3)


@pytest.mark.parametrize("name", samplers.FLOW_MATCHING)
@given(steps=st.integers(2, 60))
def test_a_flow_is_a_straight_line_from_image_to_noise(name, steps):
    scheduler = Diffusion(prediction="flow").scheduler(name)
    set_timesteps(scheduler, steps)
    for moment in moments(scheduler):
        noise = moment.timestep / 1000
        if noise >= 1:
            assert moment.log_snr == -math.inf
        else:
            assert moment.log_snr == pytest.approx(2 * math.log((1 - noise) / noise), abs=1e-4)


def test_at_zero_terminal_snr_there_is_noise_alone_and_a_number_for_it():
    scheduler = Diffusion(zero_terminal_snr=True).scheduler()
    scheduler.set_timesteps(5)
    first, second, *_ = moments(scheduler)
    signal = alphas(zero_terminal=True)[int(second.timestep)]
    assert first.log_snr == pytest.approx(-48 * math.log(2))
    assert second.log_snr == pytest.approx(math.log(signal / (1 - signal)), abs=1e-3)


@pytest.mark.parametrize("name", samplers.DIFFUSION)
def test_each_moment_knows_the_one_before_and_is_less_noisy(name):
    scheduler = Diffusion().scheduler(name)
    scheduler.set_timesteps(7)
    found = moments(scheduler)
    assert found[0].previous is None
    for index, (before, moment) in enumerate(pairwise(found), start=1):
        assert moment.previous is before
        assert (moment.index, moment.steps) == (index, len(found))
        assert moment.log_snr >= before.log_snr


def test_a_scheduler_that_says_nothing_of_its_process_has_no_log_snr():
    scheduler = EDMEulerScheduler()
    scheduler.set_timesteps(4)
    assert [moment.log_snr for moment in moments(scheduler)] == [None] * 4
    assert log_snr(scheduler, [0.5]) == [None]


def test_a_thousand_moments_can_be_shown_and_compared():
    scheduler = Diffusion().scheduler()
    scheduler.set_timesteps(1000)
    last, again = (moments(scheduler)[-1] for _ in range(2))
    assert last == again
    assert hash(last) == hash(again)
    assert "previous" not in repr(last)
