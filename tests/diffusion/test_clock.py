"""The time that a network is told is that of the noise in its images, with every scheduler."""

import inspect
from copy import deepcopy
from functools import cache

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fpdm.diffusion import Diffusion
from fpdm.diffusion.clock import flows, told_timesteps
from fpdm.diffusion.samplers import FLOW_MATCHING, prediction_of
from fpdm.diffusion.stepping import stepping
from tests.diffusion.test_samplers import MEAN, SPREAD, Oracle, run

ROUNDS = [  # of diffusers, those that round the timesteps of the noise levels they step between
    *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"),
    *("DEISMultistepScheduler", "SASolverScheduler", "KDPM2AncestralDiscreteScheduler"),
]
LEVELS = ["use_karras_sigmas", "use_exponential_sigmas", "use_lu_lambdas", "use_flow_sigmas"]


def noise_level(scheduler, timestep: float) -> float:
    """σ of the process at a timestep, which may lie between two."""
    if flows(scheduler):
        return timestep / 1000
    alphas = scheduler.alphas_cumprod.double().numpy()
    return float(np.exp(np.interp(timestep, np.arange(1000), 0.5 * np.log(1 / alphas - 1))))


@cache
def made(name: str, option: str):
    cls = getattr(diffusers, name)
    kind = {"prediction_type": "flow_prediction"} if option == "use_flow_sigmas" else {}
    return cls(beta_start=1e-4, beta_end=0.02, **{option: True}, **kind)


CASES = [
    (name, option)
    for name in ROUNDS
    for option in LEVELS
    if option in inspect.signature(getattr(diffusers, name).__init__).parameters
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "option"), CASES)
@given(steps=st.integers(3, 60))
@settings(max_examples=5, deadline=None)
def test_a_network_is_told_of_the_noise_that_there_is(name, option, steps):
    scheduler = deepcopy(made(name, option))
    scheduler.set_timesteps(steps)
    told = told_timesteps(scheduler).tolist()
    whole = [index for index, each in enumerate(scheduler.timesteps.tolist()) if each == int(each)]
    for index in whole:
        level = noise_level(scheduler, told[index])
        assert level == pytest.approx(float(scheduler.sigmas[index]), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", FLOW_MATCHING)
@given(steps=st.integers(1, 1000))
@settings(max_examples=10, deadline=None)
def test_our_schedulers_of_a_flow_do_not_round(name, steps):
    scheduler = Diffusion("flow").scheduler(name)
    scheduler.set_timesteps(steps)
    levels = scheduler.sigmas[: len(scheduler.timesteps)]
    torch.testing.assert_close(scheduler.timesteps, 1000 * levels, rtol=1e-6, atol=1e-4)
    assert torch.equal(told_timesteps(scheduler), scheduler.timesteps)


@pytest.mark.parametrize("name", ["dpm++", "unipc"])
def test_a_flow_in_log_snr_finds_the_data_to_many_digits(name):
    noise, images, _ = run(Oracle("flow"), Diffusion("flow").scheduler(name), steps=400)
    assert abs(images - (MEAN + SPREAD * noise)).max() <= 1e-3 * SPREAD * noise.abs().max()
    assert float(images.std() / noise.std()) == pytest.approx(SPREAD, abs=1e-4)


@pytest.mark.parametrize("kind", ["v_prediction", "flow"])
@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm++", "unipc", "euler", "heun"])
def test_what_is_exact_is_told_as_it_is(name, kind):
    if kind == "flow" and name in ("ddim", "ddpm"):
        return
    scheduler = Diffusion(kind).scheduler(name)
    scheduler.set_timesteps(20)
    assert told_timesteps(scheduler).dtype == scheduler.timesteps.dtype
    assert torch.equal(told_timesteps(scheduler), scheduler.timesteps)


def test_what_is_told_reaches_the_network_and_the_moments():
    scheduler = deepcopy(made("UniPCMultistepScheduler", "use_flow_sigmas"))
    assert prediction_of(scheduler) == "flow_prediction"
    scheduler.set_timesteps(7)
    told = told_timesteps(scheduler)
    assert not torch.equal(told.double(), scheduler.timesteps.double())
    taken = stepping(scheduler, None, negate=False, device=torch.device("cpu"))
    assert torch.equal(taken.timesteps, told)
    assert [moment.timestep for moment in taken.moments] == told.tolist()
