"""Noising and sampling follow the equations, written out here in float64."""

import itertools
import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fpdm.diffusion import Diffusion
from fpdm.diffusion.process import PREDICTIONS
from fpdm.diffusion.schedulers import FlowScheduler
from fpdm.diffusion.spacing import even_timesteps
from fpdm.errors import InvalidValueError, UnknownNameError
from fpdm.testing.strategies import seeds
from tests.diffusion.noising import ALPHAS, normal, terminal


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon", "sample"])
@given(seed=seeds, t=st.integers(0, 999), zero=st.booleans())
def test_noising_follows_the_equations(prediction, seed, t, zero):
    if zero and prediction == "epsilon":
        return
    clean, noise = normal(seed, 2, 1, 4, 4), normal(seed + 1, 2, 1, 4, 4)
    diffusion = Diffusion(prediction, zero_terminal_snr=zero)
    noised = diffusion.noise(clean, noise, torch.tensor([t, t]))
    a = (terminal(ALPHAS) if zero else ALPHAS)[t]
    x0, eps = clean.double(), noise.double()
    target = {
        "v_prediction": a**0.5 * eps - (1 - a) ** 0.5 * x0,
        "epsilon": eps,
        "sample": x0,
    }[prediction]
    torch.testing.assert_close(
        noised.x.double(),
        a**0.5 * x0 + (1 - a) ** 0.5 * eps,
        rtol=1e-4,
        atol=1e-3 if zero else 1e-5,
    )
    torch.testing.assert_close(
        noised.target.double(), target, rtol=1e-4, atol=1e-3 if zero else 1e-5
    )


@given(seed=seeds, t=st.floats(0, 1000))
def test_flow_is_a_straight_line(seed, t):
    clean, noise = normal(seed, 2, 1, 4, 4), normal(seed + 1, 2, 1, 4, 4)
    noised = Diffusion("flow").noise(clean, noise, torch.tensor([t, t]))
    torch.testing.assert_close(noised.x, (1 - t / 1000) * clean + t / 1000 * noise)
    assert torch.equal(noised.target, clean - noise)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_timesteps_for_training_cover_the_process(prediction):
    drawn = Diffusion(prediction).timesteps(20_000, torch.Generator().manual_seed(0))
    assert drawn.min() < 2
    assert drawn.max() > 997
    assert abs(float(drawn.double().mean()) - 500) < 10
    assert drawn.is_floating_point() == (prediction == "flow")


@given(steps=st.integers(1, 1000))
def test_timesteps_are_spread_evenly_from_noise_to_image(steps):
    timesteps = even_timesteps(steps)
    assert len(timesteps) == steps
    assert timesteps[0] == 999
    assert timesteps[-1] == (0 if steps > 1 else 999)
    gaps = -np.diff(timesteps)
    assert steps == 1 or gaps.max() - gaps.min() <= 1
    for sampler in ("ddim", "ddpm"):
        scheduler = Diffusion().scheduler(sampler)
        scheduler.set_timesteps(steps)
        assert scheduler.timesteps.tolist() == timesteps


def toy(t, x):
    """A network of one line: something smooth that depends on x and t."""
    return np.tanh(x) * (0.5 + t / 2000)


def run(scheduler, steps: int, x: torch.Tensor, generator=None) -> np.ndarray:
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        x = scheduler.step(
            torch.from_numpy(toy(float(t), x.numpy())), t, x, generator=generator
        ).prev_sample
    return x.numpy()


def predicted(prediction: str, out: np.ndarray, x: np.ndarray, a: float):
    """The clean image and the noise behind a prediction."""
    if prediction == "v_prediction":
        return a**0.5 * x - (1 - a) ** 0.5 * out, a**0.5 * out + (1 - a) ** 0.5 * x
    if prediction == "epsilon":
        return (x - (1 - a) ** 0.5 * out) / a**0.5, out
    return out, (x - a**0.5 * out) / (1 - a) ** 0.5


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon", "sample"])
@pytest.mark.parametrize("steps", [1, 2, 5, 20, 50])
@given(seed=seeds)
@settings(max_examples=5)
def test_ddim_equals_its_equation_on_the_true_timesteps(prediction, steps, seed):
    x = normal(seed, 2, 1, 4, 4).double()
    ours = run(Diffusion(prediction).scheduler("ddim"), steps, x)
    y, timesteps = x.numpy(), even_timesteps(steps)
    for t, after in zip(timesteps, [*timesteps[1:], None], strict=True):
        a = ALPHAS[t]
        clean, _ = predicted(prediction, toy(t, y), y, a)
        clean = clean.clip(-1.2, 1.2)
        noise = (y - a**0.5 * clean) / (1 - a) ** 0.5
        b = 1.0 if after is None else ALPHAS[after]
        y = b**0.5 * clean + (1 - b) ** 0.5 * noise
    assert np.abs(ours - y).max() <= 1e-4 * max(1, np.abs(y).max())


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_ddim_with_zero_terminal_snr_equals_its_equation(steps):
    x = normal(0, 2, 1, 4, 4).double()
    ours = run(Diffusion(zero_terminal_snr=True).scheduler("ddim"), steps, x)
    alphas, y, timesteps = terminal(ALPHAS), x.numpy(), even_timesteps(steps)
    for t, after in zip(timesteps, [*timesteps[1:], None], strict=True):
        clean, _ = predicted("v_prediction", toy(t, y), y, alphas[t])
        clean = clean.clip(-1.2, 1.2)
        noise = (y - alphas[t] ** 0.5 * clean) / (1 - alphas[t]) ** 0.5
        b = 1.0 if after is None else alphas[after]
        y = b**0.5 * clean + (1 - b) ** 0.5 * noise
    assert np.abs(ours - y).max() <= 1e-5 * max(1, np.abs(y).max())


@pytest.mark.parametrize("steps", [1, 2, 5, 27, 50])
def test_ddpm_equals_its_equation_with_the_same_noise(steps):
    x = normal(0, 2, 1, 4, 4).double()
    scheduler = Diffusion().scheduler("ddpm")
    ours = run(scheduler, steps, x, torch.Generator().manual_seed(7))
    rng = torch.Generator().manual_seed(7)
    y, timesteps = x.numpy(), even_timesteps(steps)
    for t, after in zip(timesteps, [*timesteps[1:], None], strict=True):
        a, b = ALPHAS[t], 1.0 if after is None else ALPHAS[after]
        clean, _ = predicted("v_prediction", toy(t, y), y, a)
        beta = 1 - a / b
        mean = b**0.5 * beta / (1 - a) * clean + (a / b) ** 0.5 * (1 - b) / (1 - a) * y
        y = mean
        if after is not None:
            noise = torch.randn(x.shape, generator=rng, dtype=torch.float64).numpy()
            y = mean + (beta * (1 - b) / (1 - a)) ** 0.5 * noise
    assert np.abs(ours - y).max() <= 1e-4 * np.abs(y).max()


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_flow_takes_euler_steps_from_noise_to_image(steps):
    x = normal(0, 2, 1, 4, 4).double()
    ours = run(Diffusion("flow").scheduler(), steps, x)
    y = x.numpy()
    for i in range(steps):
        y = y + toy(1000 * (1 - i / steps), y) / steps
    assert np.abs(ours - y).max() <= 1e-5 * np.abs(y).max()


@pytest.mark.parametrize(
    ("prediction", "sampler"),
    [*itertools.product(["v_prediction", "epsilon", "sample"], ["ddim", "ddpm"]), ("flow", None)],
)
def test_a_saved_scheduler_is_loaded_as_it_was_and_without_remarks(
    prediction, sampler, tmp_path, caplog
):
    logging.getLogger("diffusers.configuration_utils").addHandler(caplog.handler)
    scheduler = Diffusion(prediction).scheduler(sampler)
    scheduler.save_pretrained(tmp_path)
    loaded = type(scheduler).from_pretrained(tmp_path)
    assert dict(loaded.config) == dict(scheduler.config)
    assert caplog.messages == []


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_timesteps_may_be_shifted_towards_the_noise(shift):
    scheduler = FlowScheduler(shift=shift)
    scheduler.set_timesteps(5)
    even = torch.tensor([1.0, 0.8, 0.6, 0.4, 0.2])
    torch.testing.assert_close(scheduler.timesteps, 1000 * shift * even / (1 + (shift - 1) * even))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"prediction": "velocity"}, "must be one of v_prediction, epsilon, sample, flow"),
        ({"prediction": "epsilon", "zero_terminal_snr": True}, "use v_prediction"),
    ],
)
def test_a_process_that_cannot_be_is_refused(call, message):
    with pytest.raises(InvalidValueError, match=message):
        Diffusion(**call)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(UnknownNameError, match=r"is named 'eulr'\. Did you mean 'euler'"):
        Diffusion().scheduler("eulr")
    with pytest.raises(UnknownNameError, match=r"Available: dpm\+\+, euler, heun, unipc"):
        Diffusion("flow").scheduler("ddim")
