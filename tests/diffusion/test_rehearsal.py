"""A run that would draw garbage is warned of, with every scheduler and any number of steps."""

import inspect
import warnings
from copy import deepcopy
from functools import cache

import diffusers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diffusion import Diffusion, rehearsal
from fpdm.diffusion.likeness import likeness
from fpdm.diffusion.samplers import DIFFUSION, FLOW_MATCHING
from fpdm.diffusion.spread import set_timesteps
from fpdm.errors import InvalidValueError
from tests.diffusion.test_samplers import Oracle
from tests.sampling.pipelines import draw, pipeline, seeded

OURS = [("v_prediction", name) for name in DIFFUSION] + [("flow", name) for name in FLOW_MATCHING]
THEIRS = [
    *("DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler"),
    *("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"),
    *("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DEISMultistepScheduler"),
    *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"),
    *("SASolverScheduler", "LCMScheduler", "TCDScheduler", "FlowMatchHeunDiscreteScheduler"),
]
CASES = [("linspace", False), ("leading", False), ("trailing", False), ("linspace", True)]

# of NumPy, about diffusers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def contrast(scheduler, kind: str, count: int = 200) -> float:
    """Of data that are normal, how many times their deviation is drawn by the best network.

    It is not the one of the rehearsal: it has another mean and another deviation.
    """
    model = Oracle(kind)
    noise = torch.randn(count, 1, 8, 8, generator=seeded())
    run = fpdm.sample(
        model,
        scheduler,
        noise * float(getattr(scheduler, "init_noise_sigma", 1.0)),
        torch.zeros(count, dtype=torch.int64),
        budget=len(scheduler.timesteps) * model.pre_passes,
        generator=seeded(1),
    )
    with torch.no_grad():
        *_, last = run
    return float(last.sample.std()) / 0.2


def holds(scheduler, kind: str) -> None:
    """Either the contrast is right, or less where steps are few; or a warning has said so."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = contrast(scheduler, kind)
    overshoots = [str(each.message) for each in told if "overshoots" in str(each.message)]
    if not overshoots:
        assert found <= 2.2
    else:
        assert found > 1.3
        assert "num_inference_steps ≥" in overshoots[0]


def spread(scheduler, steps: int) -> bool:
    try:
        set_timesteps(scheduler, steps)
    except InvalidValueError:
        return False
    return True


@pytest.mark.parametrize(("kind", "name"), OURS)
@given(steps=st.integers(1, 14))
@settings(max_examples=7, deadline=None)
def test_few_steps_are_sound_or_warned_of(kind, name, steps):
    scheduler = Diffusion(kind).scheduler(name)
    if spread(scheduler, steps):
        holds(scheduler, kind)


@cache
def made(name: str, spacing: str, *, karras: bool):
    cls = getattr(diffusers, name)
    wanted = {
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "clip_sample": False,
        "timestep_spacing": spacing,
        "use_karras_sigmas": karras,
    }
    known = inspect.signature(cls.__init__).parameters
    return cls(**{key: value for key, value in wanted.items() if key in known})


@pytest.mark.parametrize("name", THEIRS)
@given(steps=st.integers(1, 14), case=st.sampled_from(CASES))
@settings(max_examples=6, deadline=None)
def test_so_are_those_of_diffusers(name, steps, case):
    spacing, karras = case
    scheduler = deepcopy(made(name, spacing, karras=karras))
    if spread(scheduler, steps):
        holds(scheduler, "flow_prediction" if name.startswith("Flow") else "epsilon")


def test_timesteps_that_are_not_finite_are_refused():
    with pytest.raises(InvalidValueError, match="makes timesteps of it that are not finite; use"):
        set_timesteps(made("KDPM2AncestralDiscreteScheduler", "linspace", karras=False), 2)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_heun_is_sound_from_seven_steps_on(kind):
    pipe = pipeline(scheduler=Diffusion(kind).scheduler())
    for call in ({"num_inference_steps": 3}, {"num_inference_steps": None, "budget": 12}):
        with pytest.warns(UserWarning, match=r"overshoots.* use num_inference_steps ≥ 7, or"):
            draw(pipe, scheduler="heun", **{"budget": None} | call)
    draw(pipe, scheduler="heun", num_inference_steps=7, budget=None)


def test_a_step_far_longer_than_the_one_before_is_warned_of():
    pipe, timesteps = pipeline(), [999, 500, 499, 0]
    call = {"num_inference_steps": None, "budget": None, "timesteps": timesteps}
    with pytest.warns(UserWarning, match=r"errors of the network are multiplied by \d+; spread"):
        draw(pipe, scheduler="dpm++", **call)
    draw(pipe, scheduler="ddim", **call)
    draw(pipe, scheduler="dpm++", **call | {"timesteps": [999, 700, 400, 0]})


def test_a_rehearsal_touches_no_randomness():
    pipe, state = pipeline(), torch.random.get_rng_state()
    draw(pipe, scheduler="euler-ancestral", generator=seeded())
    assert torch.equal(torch.random.get_rng_state(), state)


class Counting(diffusers.HeunDiscreteScheduler):
    """Counts the steps that it takes, in all runs together."""

    steps = 0

    def step(self, *args, **kwargs):
        type(self).steps += 1
        return super().step(*args, **kwargs)


def steps_of(run) -> int:
    """How many steps a scheduler takes in a run, and in its rehearsal."""
    before = Counting.steps
    run()
    return Counting.steps - before


def test_runs_alike_are_rehearsed_once(monkeypatch):
    monkeypatch.setattr(rehearsal, "_VERDICTS", rehearsal.Remembered(most=8))
    pipe = pipeline()

    def run(steps: int, **options) -> int:
        own = Counting(**{"prediction_type": "v_prediction", "beta_end": 0.02} | options)
        return steps_of(lambda: draw(pipe, scheduler=own, num_inference_steps=steps, budget=None))

    assert [run(8) for _ in range(3)] == [30, 15, 15]
    assert [run(9) for _ in range(2)] == [34, 17]  # other timesteps
    assert run(8, beta_end=0.01) == 30  # another process
    assert run(8) == 15
    with pytest.warns(UserWarning, match="overshoots") as first:
        run(3)
    with pytest.warns(UserWarning, match="overshoots") as again:
        assert run(3) == 5
    assert str(first[0].message) == str(again[0].message)


def test_with_another_eta_it_is_another_run(monkeypatch):
    monkeypatch.setattr(rehearsal, "_VERDICTS", rehearsal.Remembered(most=8))
    judged = []
    monkeypatch.setattr(
        rehearsal, "judge", lambda *_: judged.append(1) or rehearsal.Verdict(excess=None)
    )
    scheduler = diffusers.DDIMScheduler(prediction_type="v_prediction")
    for eta in (None, 0.5, 1.0, 0.5, None):
        draw(pipeline(), scheduler=scheduler, eta=eta)
    assert len(judged) == 3


def test_a_scheduler_is_like_its_copy_and_like_nothing_else():
    made_of = {"beta_end": 0.02, "prediction_type": "sample"}
    scheduler = diffusers.HeunDiscreteScheduler(**made_of)
    scheduler.set_timesteps(5)
    for other in (deepcopy(scheduler), diffusers.HeunDiscreteScheduler(**made_of)):
        other.set_timesteps(5)
        assert likeness(other) == likeness(scheduler)
    for change in (
        lambda own: own.set_timesteps(6),
        lambda own: own.register_to_config(prediction_type="epsilon"),
        lambda own: setattr(own, "sigmas", own.sigmas * 2),
        lambda own: own.alphas_cumprod[3:4].zero_(),
    ):
        other = deepcopy(scheduler)
        change(other)
        assert likeness(other) != likeness(scheduler)
    other.own = object()  # of which nobody knows
    assert likeness(other) is None
