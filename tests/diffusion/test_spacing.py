"""Where the timesteps of a run lie: from noise to image, none twice, and as they are asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diffusion import Diffusion, even_timesteps, spaced_timesteps
from fpdm.diffusion.samplers import DIFFUSION, FLOW_MATCHING
from fpdm.diffusion.spacing import SPACINGS, signal_of, spaced_levels
from fpdm.diffusion.spread import set_timesteps, set_timesteps_within
from fpdm.errors import InvalidValueError
from tests.commands import run
from tests.diffusion.noising import ALPHAS, terminal
from tests.diffusion.test_steps import differ
from tests.sampling.pipelines import pipeline, seeded

SIGNAL = ALPHAS
TAKES_WHOLE = ("ddim", "ddpm", "dpm++", "unipc")
spacings = st.sampled_from(SPACINGS) | st.floats(0.1, 10)


@given(spacing=spacings, steps=st.integers(1, 1000), zero=st.booleans())
def test_timesteps_go_from_the_noise_to_the_image_and_none_is_there_twice(spacing, steps, zero):
    signal = terminal(ALPHAS) if zero else SIGNAL
    timesteps = spaced_timesteps(spacing, steps, signal)
    assert len(timesteps) == steps
    assert timesteps[0] == 999
    assert all(isinstance(t, int) for t in timesteps)
    assert (np.diff(timesteps) < 0).all()
    assert timesteps[-1] >= 0
    assert steps == 1 or spacing == "late" or timesteps[-1] == 0


@given(steps=st.integers(1, 1000))
def test_a_power_of_one_is_even(steps):
    even = even_timesteps(steps)
    assert spaced_timesteps("linear", steps, SIGNAL) == even
    assert spaced_timesteps(1, steps, SIGNAL) == even
    assert spaced_timesteps(1.0, steps, SIGNAL) == even


@given(steps=st.integers(2, 30), power=st.floats(1, 3))
def test_a_power_is_that_of_the_equation(steps, power):
    exact = 999 * (1 - np.arange(steps) / (steps - 1)) ** power
    found = np.array(spaced_timesteps(power, steps, SIGNAL))
    apart = exact[:-1] - exact[1:] > 1.5  # where rounding lets two meet, they are moved
    safe = np.logical_and.accumulate(apart)
    assert (abs(found[:-1] - exact[:-1])[safe] <= 0.5 + 1e-9).all()


@given(steps=st.integers(2, 12))
def test_log_snr_lies_in_equal_strides(steps):
    levels = np.log(SIGNAL / (1 - SIGNAL))
    found = levels[spaced_timesteps("log-snr", steps, SIGNAL)]
    wanted = np.linspace(levels[-1], levels[0], steps)
    finest = np.append(0, abs(np.diff(levels)))[spaced_timesteps("log-snr", steps, SIGNAL)]
    assert (abs(found - wanted) <= finest + 0.35).all()  # a timestep's own width, where it is wide


@given(steps=st.integers(2, 30))
def test_late_ends_a_third_of_a_stride_before_the_image(steps):
    exact = 999 * (1 - np.arange(steps) / (steps - 1) * (1 - 1 / (3 * steps))) ** 1.5
    assert abs(np.array(spaced_timesteps("late", steps, SIGNAL)) - exact).max() <= 0.5 + 1e-9


@given(low=st.floats(1, 2), more=st.floats(0.5, 3), steps=st.integers(3, 40))
def test_a_higher_power_has_more_timesteps_near_the_image(low, more, steps):
    flat, steep = (spaced_timesteps(power, steps, SIGNAL) for power in (low, low + more))
    assert sum(steep) < sum(flat)


@given(spacing=spacings, steps=st.integers(1, 200), name=st.sampled_from(list(FLOW_MATCHING)))
@settings(max_examples=30, deadline=None)
def test_a_flow_goes_from_one_down_and_not_to_zero(spacing, steps, name):
    scheduler = Diffusion("flow").scheduler(name)
    even = scheduler.even(steps, 1000)
    levels = spaced_levels(spacing, even)
    assert levels[0] == 1
    assert (np.diff(levels) < 0).all()
    assert levels[-1] > 0
    assert spacing != "linear" or np.array_equal(levels, even)


@pytest.mark.parametrize("name", TAKES_WHOLE)
@pytest.mark.parametrize("spacing", [*SPACINGS, 1.5])
@given(steps=st.integers(2, 40), seed=st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_every_scheduler_steps_between_the_timesteps_of_a_spacing(name, spacing, steps, seed):
    scheduler = Diffusion().scheduler(name)
    set_timesteps(scheduler, steps, spacing=spacing)
    assert scheduler.timesteps.tolist() == spaced_timesteps(spacing, steps, signal_of(scheduler))
    assert differ(scheduler, seed=seed) <= (1e-5 if name == "unipc" else 1e-6)


@pytest.mark.parametrize("name", ["euler", "heun"])
def test_those_that_take_timesteps_take_spacings(name):
    scheduler = Diffusion().scheduler(name)
    set_timesteps(scheduler, 9, spacing="quadratic")
    assert scheduler.timesteps.unique().flip(0).tolist() == spaced_timesteps("quadratic", 9, SIGNAL)


@pytest.mark.parametrize("name", FLOW_MATCHING)
@pytest.mark.parametrize("spacing", [*SPACINGS, 1.5])
def test_a_flow_steps_between_the_levels_of_a_spacing(name, spacing):
    scheduler = Diffusion("flow").scheduler(name)
    set_timesteps(scheduler, 9, spacing=spacing)
    wanted = spaced_levels(spacing, scheduler.even(9, 1000))
    found = scheduler.timesteps.double().unique().flip(0).numpy() / 1000
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)


@given(calls=st.integers(1, 300), spacing=spacings, name=st.sampled_from([*TAKES_WHOLE, "heun"]))
@settings(max_examples=25, deadline=None)
def test_a_budget_is_spread_as_a_spacing_says(calls, spacing, name):
    scheduler = Diffusion().scheduler(name)
    set_timesteps_within(scheduler, calls, spacing=spacing)
    assert len(scheduler.timesteps) <= calls
    if name in TAKES_WHOLE:
        wanted = spaced_timesteps(spacing, calls, signal_of(scheduler))
        assert scheduler.timesteps.tolist() == wanted


@pytest.mark.parametrize("cls", [fpdm.DPMScheduler, fpdm.EvenDDIMScheduler, fpdm.EvenDDPMScheduler])
@pytest.mark.parametrize("spacing", ["quadratic", "log-snr", 1.5, None])
def test_a_scheduler_keeps_its_spacing(cls, spacing, tmp_path):
    cls(spacing=spacing).save_pretrained(tmp_path)
    scheduler = cls.from_pretrained(tmp_path)
    scheduler.set_timesteps(7)
    wanted = spacing or ("late" if cls is fpdm.DPMScheduler else "linear")
    assert scheduler.timesteps.tolist() == spaced_timesteps(wanted, 7, signal_of(scheduler))


def test_dpm_solver_is_what_samples_if_nothing_is_said():
    assert type(Diffusion().scheduler()) is fpdm.DPMScheduler
    assert DIFFUSION["dpm++"][0] is fpdm.DPMScheduler


def test_a_call_spreads_its_timesteps():
    pipe = pipeline(scheduler=Diffusion().scheduler("ddim"))
    wanted = spaced_timesteps("quadratic", 6, SIGNAL)
    spaced = pipe([1, 2], budget=24, spacing="quadratic", output_type="latent", generator=seeded(0))
    told = pipe([1, 2], budget=24, timesteps=wanted, output_type="latent", generator=seeded(0))
    even = pipe([1, 2], budget=24, output_type="latent", generator=seeded(0))
    assert torch.equal(spaced.images, told.images)
    assert not torch.equal(spaced.images, even.images)
    assert sum(step.passes for step in spaced.steps) == 24


@pytest.mark.parametrize("spacing", ["cubic", 0, -1.0, 11, True, [1, 2], float("nan")])
def test_what_is_no_spacing_is_refused(spacing):
    scheduler = Diffusion().scheduler("ddim")
    with pytest.raises(InvalidValueError, match=r"spacing=.*must be 'linear', 'quadratic'"):
        set_timesteps(scheduler, 5, spacing=spacing)
    with pytest.raises(InvalidValueError, match="spacing="):
        fpdm.DPMScheduler(spacing=spacing)


def test_a_scheduler_that_takes_no_timesteps_says_so():
    with pytest.raises(InvalidValueError, match=r"spacing='quadratic': Euler.* leave it out"):
        set_timesteps(Diffusion().scheduler("euler-ancestral"), 5, spacing="quadratic")


def test_a_spacing_and_timesteps_are_too_much():
    pipe = pipeline(scheduler=Diffusion().scheduler("ddim"))
    with pytest.raises(InvalidValueError, match="spacing, timesteps: give one"):
        pipe([1], budget=24, spacing="linear", timesteps=[999, 500, 0])


@pytest.mark.parametrize("spacing", ["quadratic", "1.5"])
def test_the_command_takes_a_spacing(spacing, tmp_path, capsys):
    out = tmp_path / "a.png"
    asked = ("--classes", "1", "--budget", "12", "--spacing", spacing)
    code, _, _ = run(capsys, "sample", *asked, "--out", str(out))
    assert code == 0
    assert out.exists()
