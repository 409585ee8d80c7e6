"""Timesteps and noise levels of one's own, several images of a class, and eta."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    TCDScheduler,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.samplers import DIFFUSION, FLOW_MATCHING
from fpdm.diffusion.spread import set_timesteps
from fpdm.errors import BudgetError, InvalidValueError
from tests.commands import run
from tests.diffusion.test_samplers import MEAN, SPREAD, Oracle
from tests.diffusion.test_steps import differ
from tests.sampling.pipelines import draw, images, pipeline, seeded
from tests.toys import tiny

BETAS = {"beta_start": 1e-4, "beta_end": 0.02}
TAKES_TIMESTEPS = ["ddim", "ddpm", "dpm++", "euler", "heun"]
FREE = {"num_inference_steps": None}


@st.composite
def descending(draw, first, *, most: int = 12):
    """Timesteps of a run, each at most 3 times as far from the next as from the one before."""
    gaps = draw(st.lists(st.integers(30, 80), min_size=1, max_size=most - 1))
    return [first - sum(gaps[:i]) for i in range(len(gaps) + 1)]


def set_by_diffusers(scheduler, **given) -> list[float]:
    own = deepcopy(scheduler)
    own.set_timesteps(**given)
    return own.timesteps.tolist()


def flow_pipeline():
    return pipeline(scheduler=Diffusion("flow").scheduler())


@pytest.mark.parametrize("name", TAKES_TIMESTEPS[:3])
@given(timesteps=descending(999), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_a_step_between_ones_own_timesteps_equals_the_librarys(name, timesteps, seed):
    scheduler = Diffusion().scheduler(name)
    set_timesteps(scheduler, timesteps=timesteps)
    assert scheduler.timesteps.tolist() == timesteps
    assert differ(scheduler, seed=seed) <= 1e-6


@pytest.mark.parametrize("name", ["euler", "dpm++", "unipc"])
@pytest.mark.parametrize("kind", ["timesteps", "sigmas"])
@given(timesteps=descending(1000), seed=st.integers(0, 99), shift=st.sampled_from([1.0, 3.0]))
@settings(max_examples=5, deadline=None)
def test_so_it_does_for_a_flow(name, kind, timesteps, seed, shift):
    scheduler = fpdm.diffusion.samplers.switch(fpdm.FlowScheduler(shift=shift), name)
    given = timesteps if kind == "timesteps" else [each / 1000 for each in timesteps]
    set_timesteps(scheduler, **{kind: given})
    levels = torch.tensor(timesteps).double() / 1000
    if kind == "sigmas":
        levels = shift * levels / (1 + (shift - 1) * levels)
    torch.testing.assert_close(scheduler.sigmas[:-1].double(), levels, rtol=0, atol=2e-6)
    torch.testing.assert_close(scheduler.timesteps.double(), 1000 * levels, rtol=0, atol=2e-3)
    assert differ(scheduler, seed=seed) <= (1e-5 if name == "unipc" else 1e-6)


@pytest.mark.parametrize(
    "scheduler",
    [
        *(Diffusion().scheduler(name) for name in ("ddim", "ddpm", "dpm++", "euler")),
        EulerDiscreteScheduler(**BETAS, prediction_type="v_prediction"),
        DPMSolverMultistepScheduler(**BETAS, prediction_type="v_prediction"),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_timesteps_are_those_that_diffusers_sets(scheduler):
    timesteps = [999, 800, 610, 390, 200, 20]
    result = draw(pipeline(), scheduler=scheduler, timesteps=timesteps, budget=24, **FREE)
    expected = set_by_diffusers(scheduler, timesteps=timesteps)
    assert [float(step.timestep) for step in result.steps] == expected == timesteps


def test_sigmas_are_those_that_diffusers_sets():
    euler, sigmas = EulerDiscreteScheduler(**BETAS, prediction_type="v_prediction"), [90, 9, 0.9, 0]
    result = draw(pipeline(), scheduler=euler, sigmas=sigmas, budget=None, **FREE)
    expected = set_by_diffusers(euler, sigmas=sigmas)
    assert [float(step.timestep) for step in result.steps] == expected
    flow, sigmas = FlowMatchEulerDiscreteScheduler(shift=2.0), [1.0, 0.7, 0.3]
    result = draw(flow_pipeline(), scheduler=flow, sigmas=sigmas, budget=None, **FREE)
    expected = set_by_diffusers(flow, sigmas=sigmas)
    assert [float(step.timestep) for step in result.steps] == expected


@pytest.mark.parametrize("name", FLOW_MATCHING)
@pytest.mark.parametrize("kind", ["timesteps", "sigmas"])
def test_every_flow_of_ours_takes_both_and_draws_what_even_ones_draw(name, kind):
    pipe, scheduler = flow_pipeline(), Diffusion("flow").scheduler(name)
    scheduler.set_timesteps(8)
    levels = list(dict.fromkeys(scheduler.sigmas[:-1].double().tolist()))
    given = levels if kind == "sigmas" else [1000 * level for level in levels]
    even = images(pipe, scheduler=name, num_inference_steps=8, budget=None)
    own = images(pipe, scheduler=name, budget=None, **{kind: given}, **FREE)
    torch.testing.assert_close(own, even, rtol=1e-3, atol=1e-4)


def test_a_shift_does_not_part_the_timestep_from_its_noise():
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    set_timesteps(flow, timesteps=[1000, 700, 300])
    torch.testing.assert_close(flow.sigmas[:-1], torch.tensor([1.0, 0.7, 0.3]))
    assert flow.timesteps.tolist() == [1000, 700, 300]


@given(timesteps=descending(999), extra=st.integers(0, 40), name=st.sampled_from(["ddim", "ddpm"]))
@settings(max_examples=8, deadline=None)
def test_a_budget_is_spent_exactly_on_ones_own_timesteps(timesteps, extra, name):
    budget = 3 * len(timesteps) + extra
    result = draw(pipeline(), (0,), scheduler=name, timesteps=timesteps, budget=budget, **FREE)
    assert sum(step.passes for step in result.steps) == budget
    assert len(result.steps) == len(timesteps)


def test_a_scheduler_of_second_order_pays_for_its_calls_at_ones_own_timesteps():
    pipe, timesteps = pipeline(tiny(evals=3)), [999, 900, 800, 600, 400, 200, 100, 0]
    result = draw(pipe, (0,), scheduler="heun", timesteps=timesteps, budget=None, **FREE)
    assert len(result.steps) == 15
    assert sum(step.passes for step in result.steps) == 15 * 5
    with pytest.raises(BudgetError, match="cannot pay for 15 steps"):
        draw(pipe, (0,), scheduler="heun", timesteps=timesteps, budget=40, **FREE)


TWO = "timesteps, sigmas: only one of them can be given"
NO_FIT = "num_inference_steps=5: there are 2 timesteps; leave one of them out"
REFUSED = [
    ({"timesteps": [999, 0], "sigmas": [9, 0]}, TWO),
    ({"timesteps": [999, 0], "num_inference_steps": 5}, NO_FIT),
    ({"timesteps": []}, "must be a list of numbers"),
    ({"timesteps": "999"}, "must go down|begins at|must be"),
    ({"timesteps": 999}, "must be a list of numbers"),
    ({"timesteps": [[999, 0]]}, "must be a list of numbers"),
    ({"timesteps": [999, float("nan")]}, "must be a list of numbers"),
    ({"timesteps": [0, 500, 999]}, "must go down from noise to image"),
    ({"timesteps": [999, 500, 500]}, "must go down from noise to image"),
    ({"timesteps": [999, -1]}, "none below 0"),
    ({"timesteps": [1000, 0]}, "must be from 999 down for DPMScheduler"),
    ({"timesteps": [999, 499.5, 0]}, "must be whole numbers for DPMScheduler"),
    ({"timesteps": [300, 0]}, "begins at timestep 300 of 1000, which is not the noise; use others"),
    (
        {"timesteps": [999, 0], "scheduler": "euler-ancestral"},
        "does not take any of its own; leave them out",
    ),
    ({"sigmas": [9, 0]}, "DPMScheduler does not take any of its own.* scheduler='euler'"),
    ({"sigmas": [9, 1], "scheduler": "euler"}, "what noise is left in the images; must be 0"),
    ({"sigmas": [9, 0], "scheduler": "unipc"}, "UniPCScheduler does not take any of its own"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_is_no_run_is_refused_in_a_sentence(options, message):
    with pytest.raises(InvalidValueError, match=message) as caught:
        draw(pipeline(), **{**FREE, "budget": None, **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timesteps": [1000, 0]}, "at timestep 0 of a flow there is no noise left"),
        ({"timesteps": [1001, 10]}, "must be from 1000 down"),
        ({"sigmas": [1.5, 0.5]}, "must be from 1 down"),
        ({"sigmas": [1.0, 0.0]}, "adds the 0 at the end itself"),
        ({"timesteps": [999, 10], "scheduler": "library"}, "does not take any of its own"),
    ],
)
def test_so_it_is_for_a_flow(options, message):
    if options.get("scheduler"):
        flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
        options = options | {"scheduler": DPMSolverMultistepScheduler(**flow)}
    with pytest.raises(InvalidValueError, match=message):
        draw(flow_pipeline(), **{**FREE, "budget": None, **options})


def test_a_scheduler_that_is_given_is_never_changed():
    scheduler = Diffusion().scheduler("dpm++")
    before, config = scheduler.timesteps, dict(scheduler.config)
    draw(pipeline(), scheduler=scheduler, timesteps=[999, 600, 300, 0], budget=None, **FREE)
    assert scheduler.timesteps is before
    assert dict(scheduler.config) == config


# several images of a class


def test_images_of_a_class_follow_each_other_as_in_diffusers():
    pipe, call = pipeline(), {"num_inference_steps": 4, "budget": 16}
    several = images(pipe, [2, 0], num_images_per_class=3, **call)
    assert torch.equal(several, images(pipe, [2, 2, 2, 0, 0, 0], **call))
    generators = [seeded(i) for i in range(6)]
    apart = images(pipe, [2, 0], num_images_per_class=3, generator=generators, **call)
    alone = images(pipe, [0], generator=[seeded(4)], **call)
    torch.testing.assert_close(apart[4:5], alone)
    noise = torch.randn(4, 1, 4, 4)
    assert len(images(pipe, [1, 2], num_images_per_class=2, latents=noise, **call)) == 4
    with pytest.raises(InvalidValueError, match="a list of 2 for 6 images"):
        draw(pipe, [2, 0], num_images_per_class=3, generator=[seeded(), seeded()], **call)
    for wrong in (0, -1, 1.5, None):
        with pytest.raises(InvalidValueError, match="num_images_per_class"):
            draw(pipe, num_images_per_class=wrong, **call)


# eta


@given(timesteps=descending(999), eta=st.floats(0, 1), kind=st.sampled_from(["epsilon", "sample"]))
@settings(max_examples=8, deadline=None)
def test_a_step_with_eta_is_that_of_its_equations(timesteps, eta, kind):
    scheduler = fpdm.EvenDDIMScheduler(prediction_type=kind, clip_sample_range=None)
    set_timesteps(scheduler, timesteps=timesteps)
    alphas = [float(scheduler.alphas_cumprod[each]) for each in timesteps] + [1.0]
    for index, (now, after) in enumerate(pairwise(alphas)):
        x, prediction, noise = torch.randn(3, 2, 1, 4, 4, generator=seeded(index))
        made = scheduler.step(
            prediction, timesteps[index], x, variance_noise=noise, eta=eta
        ).prev_sample
        x, prediction = x.double(), prediction.double()
        clean = prediction if kind == "sample" else (x - (1 - now) ** 0.5 * prediction) / now**0.5
        epsilon = (x - now**0.5 * clean) / (1 - now) ** 0.5
        deviation = eta * ((1 - after) / (1 - now) * (1 - now / after)) ** 0.5
        along = max(1 - after - deviation**2, 0) ** 0.5
        expected = after**0.5 * clean + along * epsilon + deviation * noise
        scale = max(1.0, float(clean.abs().max()))
        assert (made - expected).abs().max() <= 1e-5 * scale


def test_between_the_timesteps_of_the_ddim_of_diffusers_eta_draws_what_it_draws():
    theirs = DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False)
    theirs.set_timesteps(8)
    ours = fpdm.EvenDDIMScheduler(clip_sample_range=None)
    ours.set_timesteps(timesteps=theirs.timesteps.tolist())
    x = torch.randn(2, 1, 4, 4, generator=seeded())
    for timestep in theirs.timesteps:
        prediction = torch.randn(2, 1, 4, 4, generator=seeded(int(timestep)))
        step = {"eta": 0.6, "generator": seeded(1)}
        made = ours.step(prediction, timestep, x, **step).prev_sample
        x = theirs.step(prediction, timestep, x, **step | {"generator": seeded(1)}).prev_sample
        torch.testing.assert_close(made, x, rtol=1e-4, atol=1e-4)


@given(timesteps=descending(999), eta=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_the_table_with_eta_equals_the_step(timesteps, eta, seed):
    scheduler = Diffusion().scheduler("ddim")
    set_timesteps(scheduler, timesteps=timesteps)
    assert differ(scheduler, seed=seed, eta=eta) <= 1e-6


def test_eta_of_one_is_ancestral_and_of_none_is_not():
    model, count = Oracle("epsilon"), 60
    pipe = pipeline(model, fpdm.EvenDDIMScheduler(prediction_type="epsilon"))
    call = {"num_inference_steps": 100, "budget": None, "latents": None}
    ancestral, ddim, plain = (
        images(pipe, [0] * count, **call, **options)
        for options in ({"scheduler": "ddpm"}, {"eta": 1.0}, {})
    )
    assert float(ddim.mean()) == pytest.approx(float(ancestral.mean()), abs=0.02)
    assert float(ddim.std()) == pytest.approx(float(ancestral.std()), rel=0.05)
    assert float(ddim.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(ddim.std()) == pytest.approx(SPREAD, rel=0.2)
    assert torch.equal(images(pipe, [0] * count, eta=0.0, **call), plain)
    # ancestral sampling forgets its noise; DDIM does not
    noise = torch.randn(count, 1, 8, 8, generator=seeded())
    kept = [
        torch.corrcoef(torch.stack([noise.flatten(), x.flatten()]))[0, 1] for x in (ddim, plain)
    ]
    assert kept[0] < 0.9 < kept[1]


def test_ancestral_sampling_and_eta_of_one_have_one_table():
    from fpdm.diffusion.tables import tabled

    ours, theirs = Diffusion("epsilon").scheduler("ddim"), Diffusion("epsilon").scheduler("ddpm")
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(20)
    one, other = tabled(ours, eta=1.0), tabled(theirs)
    torch.testing.assert_close(one.table[:-1], other.table[:-1], rtol=1e-3, atol=1e-4)
    assert one.draws == other.draws


@pytest.mark.parametrize("name", [name for name in DIFFUSION if name != "ddim"])
def test_a_scheduler_without_eta_says_so(name):
    pipe = pipeline()
    call = {"scheduler": name, "num_inference_steps": 8, "budget": None}
    with pytest.raises(InvalidValueError, match=r"eta=0.5: \w+ has no eta; leave it out, or use"):
        draw(pipe, eta=0.5, **call)
    assert torch.equal(images(pipe, eta=0.0, **call), images(pipe, **call))


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan"), "1", True])
def test_an_eta_that_is_none_is_refused(eta):
    with pytest.raises(InvalidValueError, match="must be a number from 0 to 1"):
        draw(pipeline(), eta=eta)


@pytest.mark.parametrize("cls", [DDIMScheduler, TCDScheduler])
def test_the_schedulers_of_diffusers_that_know_eta_are_given_it(cls):
    pipe = pipeline()
    scheduler = cls(**BETAS, prediction_type="v_prediction", clip_sample=False)
    none, some = (images(pipe, scheduler=scheduler, eta=eta) for eta in (0.0, 1.0))
    assert not torch.equal(none, some)


def test_with_a_compiled_pipeline_all_of_it_draws_the_same():
    call = {"timesteps": [999, 700, 400, 100], "eta": 0.7, "num_images_per_class": 2, **FREE}
    call |= {"solver": "naive", "scheduler": "ddim"}
    eager, compiled = pipeline(), pipeline()
    compiled.compile(backend="eager")
    torch.testing.assert_close(images(compiled, **call), images(eager, **call))


# on the command line


def test_the_command_line_has_all_of_it(capsys, tmp_path):
    out = tmp_path / "a.png"
    options = ["--num-images-per-class", 2, "--timesteps", "999,800,600,400,200,0", "--eta", 0.5]
    options += ["--scheduler", "ddim"]
    code, printed, _ = run(
        capsys, "sample", "--classes", 3, 7, *options, "--budget", 24, "--out", out
    )
    assert code == 0
    assert "Wrote 4 images" in printed
    assert " 24 " in printed
    Image.open(out).load()
    folder = tmp_path / "many"
    code, *_ = run(capsys, "sample", "--classes", 3, 7, *options, "--budget", 24, "--out", folder)
    assert code == 0
    assert len(list(folder.glob("*.png"))) == 4
    for changed in ("999,700,600,400,200,0", "999 800 600 400 200 1"):
        code, _, error = run(
            capsys,
            *("sample", "--classes", 3, 7, "--num-images-per-class", 2, "--eta", 0.5),
            *(
                "--scheduler",
                "ddim",
                "--timesteps",
                *changed.split(),
                "--budget",
                24,
                "--out",
                folder,
            ),
        )
        assert code == 2
        assert "holds images of other settings: timesteps" in " ".join(error.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timesteps", "999,x"], "--timesteps 999,x: must be numbers set apart by commas"),
        (["--timesteps", "5,999"], "must go down from noise to image"),
        (["--sigmas", "1,0.5"], "DPMScheduler does not take any of its own"),
        (["--timesteps", "999,0", "--sigmas", "9,0"], "only one of them can be given"),
        (["--timesteps", "999,0", "--steps", 3], "there are 2 timesteps"),
        (["--num", 3, "--num-images-per-class", 2], "--num, --num-images-per-class: give one"),
        (["--num-images-per-class", 0], "num_images_per_class=0"),
        (["--eta", 2], "eta=2"),
        (["--eta", 1, "--scheduler", "unipc"], "UniPCScheduler has no eta"),
    ],
)
def test_on_the_command_line_a_mistake_is_one_sentence(options, message, capsys, tmp_path):
    out = tmp_path / "a.png"
    code, _, error = run(capsys, "sample", "--classes", 3, *options, "--out", out)
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()
