"""Every sampler, with every prediction it is said to take, finds the distribution it should.

The data are independent pixels, normal with mean 0.1 and deviation 0.2. For them the best possible
network is known, and so is where each noise ends up: the flow from noise to image is affine.
"""

import numpy as np
import pytest
import torch
from diffusers import (
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    PNDMScheduler,
)
from torch import Tensor

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.samplers import (
    DIFFUSION,
    FLOW_MATCHING,
    prediction_of,
    switch,
)
from fpdm.diffusion.spread import set_timesteps, set_timesteps_within
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.solution import Denoised
from tests.diffusion.noising import ALPHAS, terminal
from tests.places import DOCS

MEAN, SPREAD = 0.1, 0.2
PURE_NOISE = 4096.0  # a sigma where zero terminal SNR would have an infinite one
TABLE = DOCS / "tables" / "samplers.md"
NAMES = list(dict.fromkeys([*DIFFUSION, *FLOW_MATCHING]))
KINDS = ("epsilon", "sample", "v_prediction", "flow")


class Oracle(fpdm.DiT):
    """The best prediction for these data, in place of a network."""

    def __init__(self, prediction: str, alphas: np.ndarray = ALPHAS) -> None:
        super().__init__(sample_size=8, in_channels=1, hidden_size=8, num_heads=1, num_classes=1)
        self.prediction = prediction
        self.sigmas = ((1 - alphas) / alphas.clip(PURE_NOISE**-2)) ** 0.5

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor, **_) -> Denoised:
        del class_labels
        if self.prediction in ("flow", "flow_prediction"):
            noisy = min(float(timestep) / 1000, 1 - 1e-6)
            clean_share = 1 - noisy
        else:
            sigma = np.interp(float(timestep), np.arange(1000), self.sigmas)
            clean_share, noisy = 1 / (1 + sigma**2) ** 0.5, sigma / (1 + sigma**2) ** 0.5
        variance = (clean_share * SPREAD) ** 2 + noisy**2
        clean = MEAN + clean_share * SPREAD**2 / variance * (x - clean_share * MEAN)
        noise = noisy / variance * (x - clean_share * MEAN)
        sample = {
            "epsilon": noise,
            "sample": clean,
            "v_prediction": clean_share * noise - noisy * clean,
            "flow": clean - noise,
            "flow_prediction": noise - clean,
        }[self.prediction]
        return Denoised(sample=sample)


def run(model: Oracle, scheduler, *, name: str | None = None, steps: int = 400, count: int = 40):
    """The noise, and the images that it became."""
    pipe = fpdm.FPDMPipeline(model, scheduler, prediction_type=model.prediction)
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = pipe(
        [0] * count,
        num_inference_steps=steps,
        scheduler=name,
        latents=noise,
        generator=torch.Generator().manual_seed(1),
        output_type="latent",
    )
    return noise, drawn.images, len(drawn.steps)


def finds_the_data(noise: Tensor, images: Tensor, *, ancestral: bool) -> bool:
    if ancestral:
        mean, spread = float(images.mean()), float(images.std())
        near = abs(mean - MEAN) < 0.1 * SPREAD and abs(spread - SPREAD) < 0.1 * SPREAD
        return near and not torch.allclose(images, MEAN + SPREAD * noise, atol=SPREAD)
    return bool((images - (MEAN + SPREAD * noise)).abs().max() < 0.1 * SPREAD)


ANCESTRAL = ("ddpm", "euler-ancestral")


def cell(name: str, prediction: str, *, zero: bool = False) -> str:
    """What the table says of a sampler and a prediction: it is tried."""
    alphas = terminal() if zero else ALPHAS
    process = Diffusion(prediction, zero_terminal_snr=zero)
    try:
        noise, images, _ = run(Oracle(prediction, alphas), process.scheduler(), name=name)
    except FPDMError:
        return "–"
    found = finds_the_data(noise, images, ancestral=name in ANCESTRAL)
    assert found, f"{name} with {prediction} does not find the data"
    return "✓"


def row(name: str) -> str:
    predictions = [cell(name, prediction) for prediction in KINDS]
    process = Diffusion("v_prediction" if name in DIFFUSION else "flow")
    calls = run(Oracle(process.prediction), process.scheduler(), name=name, steps=10, count=1)[2]
    said = {10: "N", 19: "2 N - 1"}[calls]
    cells = [f"`{name}`", *predictions, cell(name, "v_prediction", zero=True), said]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_the_docs_is_what_happens(name):
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    assert [line.split("`")[1] for line in rows] == NAMES
    assert row(name) in rows


@pytest.mark.parametrize("name", DIFFUSION)
@pytest.mark.parametrize("other", DIFFUSION)
def test_any_sampler_can_be_made_of_any_other(name, other):
    process = Diffusion("v_prediction").scheduler(other)
    noise, images, _ = run(Oracle("v_prediction"), process, name=name)
    assert finds_the_data(noise, images, ancestral=name in ANCESTRAL)


@pytest.mark.parametrize("name", [None, *FLOW_MATCHING])
@pytest.mark.parametrize("other", FLOW_MATCHING)
@pytest.mark.parametrize("prediction", ["flow", "flow_prediction"])
def test_both_signs_of_a_velocity_find_the_data(name, other, prediction):
    process = Diffusion("flow").scheduler(other)
    noise, images, _ = run(Oracle(prediction), process, name=name)
    assert finds_the_data(noise, images, ancestral=False)


@pytest.mark.parametrize("name", FLOW_MATCHING)
def test_every_velocity_scheduler_of_a_process_has_its_sign(name):
    assert prediction_of(Diffusion("flow").scheduler(name)) == "flow"


@pytest.mark.parametrize(
    ("scheduler", "steps", "message"),
    [
        (
            DPMSolverMultistepScheduler(timestep_spacing="linspace"),
            1000,
            "repeats a timestep; use fewer",
        ),
        (Diffusion().scheduler("heun"), 1, "begins at timestep 0 of 1000, which is not the noise"),
        (EDMEulerScheduler(), 50, "begins at timestep 1.09551 of 1000, which is not the noise"),
    ],
)
def test_timesteps_that_are_no_run_from_noise_to_image_are_refused(scheduler, steps, message):
    with pytest.raises(InvalidValueError, match=message):
        set_timesteps(scheduler, steps)


@pytest.mark.parametrize("calls", [1000, 4000])
@pytest.mark.parametrize(
    ("prediction", "name", "most"),
    [("epsilon", "dpm++", 1000), ("epsilon", "ddim", 1000), ("flow", "unipc", 1000)],
)
def test_as_many_timesteps_as_there_are_without_repeating_one(prediction, name, most, calls):
    scheduler = Diffusion(prediction).scheduler(name)
    set_timesteps_within(scheduler, calls)
    assert len(scheduler.timesteps) == most


@pytest.mark.parametrize("calls", [1000, 4000])
def test_a_timestep_fewer_where_the_library_repeats_one(calls):
    scheduler = DPMSolverMultistepScheduler(timestep_spacing="linspace")
    set_timesteps_within(scheduler, calls)
    assert len(scheduler.timesteps) == 999


def test_a_scheduler_of_second_order_stays_within_its_calls():
    scheduler = Diffusion().scheduler("heun")
    for calls in range(3, 12):
        set_timesteps_within(scheduler, calls)
        assert len(scheduler.timesteps) == calls - (calls + 1) % 2


@pytest.mark.parametrize(
    ("scheduler", "variance"),
    [
        (Diffusion("epsilon").scheduler("ddim", learned_variance=True), "learned_range"),
        (Diffusion("epsilon").scheduler("ddpm", learned_variance=True), "learned_range"),
        (Diffusion("epsilon").scheduler("ddpm"), "fixed_small"),
    ],
)
def test_a_learned_variance_is_used_unless_the_scheduler_has_a_fixed_one(scheduler, variance):
    switched = switch(scheduler, "ddpm", learned_variance=True)
    assert switched.config.variance_type == variance


@pytest.mark.parametrize(
    ("scheduler", "prediction"),
    [
        (FlowMatchEulerDiscreteScheduler(), "flow"),
        (FlowMatchHeunDiscreteScheduler(), "flow"),
        (FlowMatchEulerDiscreteScheduler(), "flow_prediction"),
        (PNDMScheduler(beta_start=1e-4, beta_end=0.02), "epsilon"),
        (EulerDiscreteScheduler(beta_start=1e-4, beta_end=0.02), "epsilon"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "step") else str(value),
)
def test_schedulers_without_a_name_work_as_they_are(scheduler, prediction):
    before = scheduler.timesteps
    noise, images, calls = run(Oracle(prediction), scheduler)
    assert finds_the_data(noise, images, ancestral=False)
    assert scheduler.timesteps is before  # a run has a copy
    set_timesteps(scheduler, 400)
    assert calls == len(scheduler.timesteps)


@pytest.mark.parametrize(
    ("predicted", "scheduler"),
    [
        ("epsilon", Diffusion("v_prediction").scheduler()),
        ("v_prediction", FlowMatchEulerDiscreteScheduler()),
        ("flow", DDPMScheduler()),
        ("flow_prediction", Diffusion("sample").scheduler()),
    ],
)
def test_a_scheduler_that_expects_something_else_is_refused(predicted, scheduler):
    with pytest.raises(InvalidValueError, match=f"predicts '{predicted}', but .* expects '"):
        run(Oracle(predicted), scheduler)


def test_a_prediction_that_does_not_exist_is_refused():
    with pytest.raises(InvalidValueError, match="prediction_type='noise': must be one of"):
        fpdm.FPDMPipeline(Oracle("epsilon"), DDPMScheduler(), prediction_type="noise")


def test_betas_and_clamps_go_with_a_process():
    own = fpdm.EvenDDIMScheduler(beta_end=0.01, clip_sample_range=None, prediction_type="epsilon")
    for name in DIFFUSION:
        other = switch(own, name)
        assert prediction_of(other) == "epsilon"
        assert float(other.betas[-1]) == pytest.approx(0.01)
    assert switch(switch(own, "ddpm"), "ddim").config.clip_sample_range is None
    clamped = fpdm.EvenDDIMScheduler(clip_sample_range=1.5)
    assert switch(clamped, "ddim").config.clip_sample_range == 1.5
    shifted = switch(fpdm.FlowScheduler(shift=3.0), "dpm++")
    shifted.set_timesteps(4)
    assert float(shifted.sigmas[1]) == pytest.approx(3 * 0.75 / (1 + 2 * 0.75), abs=2e-3)
    for name in FLOW_MATCHING:  # and back
        again = switch(switch(shifted, name), "euler")
        assert again.config.shift == 3.0, name


def test_a_scheduler_that_does_not_say_what_it_expects_cannot_be_exchanged_by_name():
    unknown = type("Unknown", (), {"config": {}})()
    assert prediction_of(unknown) is None
    with pytest.raises(InvalidValueError, match="does not say what the network predicts"):
        switch(unknown, "ddim")
    assert prediction_of(EDMEulerScheduler()) == "epsilon"


def test_zero_terminal_snr_is_refused_where_it_is_not_known():
    with pytest.raises(InvalidValueError, match="'heun' cannot begin where there is no signal"):
        Diffusion(zero_terminal_snr=True).scheduler("heun")
