"""A calibration compares runs from one noise with a long one, and leaves everything as it was."""

import math
import warnings

import pytest
import torch
from attrs import evolve

import fpdm
from fpdm.calibration import Tried, Way
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError, UnknownNameError
from fpdm.planning import Calibrating, Choices, calibrate
from fpdm.planning.finals import Finals
from tests.sampling.pipelines import draw, images, pipeline
from tests.toys import BlockPasses, tiny, tiny_dit

FEW = Choices(
    schedulers=["dpm++"],
    spacings=["linear"],
    iterations=[1, 2],
    solvers=["naive"],
    inits=["features"],
    allocations=["adaptive", "measured"],
    lengths=[3],
    counts=[1, 2, 4],
)
SMALL = {"samples": 3, "budgets": [8, 16], "choices": FEW}


def small(pipe=None, **options) -> Calibrating:
    return Calibrating(pipe or pipeline(), **(SMALL | options))


def test_it_tries_the_grid_and_what_is_around_the_best_of_it():
    calibration = calibrate(pipeline(), **SMALL)
    ways = [each.way for each in calibration.tried]
    assert ways[:3] == [Way(), Way(1, "dpm++", "linear"), Way(2, "dpm++", "linear")]
    best = min(calibration.tried[:3], key=lambda each: each.error(8)).way
    assert best.having("solver", "naive") in ways
    assert best.having("init", "features") in ways
    assert best.having("allocation", "measured") in ways
    assert len({str(way) for way in ways}) == len(ways)
    for each in calibration.tried:
        assert set(each.budgets) <= {8, 16}
        assert all(math.isfinite(error) for error in each.errors)
    (sensitivity,) = calibration.sensitivities
    assert sensitivity.counts == (1, 2, 4)
    assert len(sensitivity.timesteps) == 3


def test_an_error_is_how_far_samples_end_from_those_of_the_long_run():
    pipe = pipeline()
    calibration = calibrate(pipe, **SMALL)
    noise = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    run = {"latents": noise, "scheduler": "dpm++", "spacing": "linear", "generator": None}
    long = images(pipe, **run, budget=64, num_inference_steps=10)
    short = images(pipe, **run, budget=16, num_inference_steps=4)
    expected = (short - long).double().square().mean().sqrt().item()
    found = next(each for each in calibration.tried if each.way == Way(2, "dpm++", "linear"))
    assert found.error(16) == pytest.approx(expected, rel=1e-5)


def test_what_it_says_it_does_is_what_it_does():
    pipe = pipeline()
    calibrating = small(pipe)
    with BlockPasses(pipe.model) as passes:
        states = list(calibrating)
    assert passes.count == calibrating.done
    assert [state.done for state in states] == sorted(state.done for state in states)
    assert all(state.done <= state.total for state in states)
    assert states[0].doing == "the long run"


def test_it_is_the_same_each_time_and_leaves_all_as_it_was():
    pipe = pipeline()
    before, state = images(pipe), torch.get_rng_state()
    first, second = calibrate(pipe, **SMALL), calibrate(pipe, **SMALL)
    assert first == second
    assert pipe.calibration is None
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images(pipe), before)
    assert pipe._progress_bar_config == {"disable": True}
    assert calibrate(pipe, **SMALL, seed=1) != first


def test_a_calibration_that_is_broken_off_leaves_no_trace():
    pipe = pipeline()
    going = iter(small(pipe))
    for _ in range(12):
        next(going)
    going.close()
    assert pipe.calibration is None
    assert pipe._progress_bar_config == {"disable": True}


def test_while_it_goes_on_the_pipeline_is_as_it_was():
    pipe = pipeline()
    pipe.set_progress_bar_config(desc="mine")
    for _ in small(pipe):
        assert pipe._progress_bar_config == {"desc": "mine"}
        assert pipe.calibration is None


def test_what_is_written_beside_a_model_is_found_by_the_pipeline_that_it_is_of(tmp_path):
    pipeline().save_pretrained(tmp_path)
    pipe = fpdm.FPDMPipeline.from_pretrained(tmp_path)
    (tmp_path / "calibration.json").write_text("{")  # broken, and to be made anew
    calibration = calibrate(pipe, **SMALL)
    calibration.write(tmp_path)
    assert pipe.calibration == calibration


def test_schedulers_that_draw_noise_draw_the_same_each_time_and_for_nobody_else():
    pipe = pipeline(scheduler=Diffusion().scheduler("ddpm"))
    state = torch.get_rng_state()
    assert calibrate(pipe, **SMALL) == calibrate(pipe, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "pipe",
    [
        lambda: pipeline(tiny(num_classes=0)),
        lambda: pipeline(tiny(), Diffusion("flow").scheduler(), prediction_type="flow"),
        lambda: pipeline(tiny(solver="broyden", init="reuse")),
        lambda: pipeline(tiny(learn_sigma=True), Diffusion("epsilon").scheduler()),
    ],
)
def test_it_works_for_any_network_and_process(pipe):
    pipe = pipe()
    own = evolve(FEW, schedulers=(None,), spacings=(None,))
    pipe.calibration = calibrate(pipe, **SMALL | {"choices": own})
    assert fpdm.planning.plan(pipe, budget=12).budget == 12
    labels = {"class_labels": [0, 1]} if pipe.model.null_class else {"num_images": 2}
    pipe(**labels, budget=12, plan="auto", output_type="latent")
    options = {"budget": 16, "num_inference_steps": 3, "allocation": "measured"}
    assert sum(s.passes for s in pipe(**labels, **options, output_type="latent").steps) == 16


def test_components_are_kept_as_a_file_has_them(tmp_path):
    objects = {
        "solvers": [fpdm.solver("naive"), fpdm.solver("naive", damping=0.5)],
        "inits": [fpdm.init("features")],
        "allocations": [fpdm.allocation("adaptive", rate=0.4)],
    }
    choices = evolve(FEW, **objects)
    assert choices.solvers == ("naive", {"name": "naive", "damping": 0.5})
    assert (choices.inits, choices.allocations) == (
        ("features",),
        ({"name": "adaptive", "rate": 0.4},),
    )
    calibration = calibrate(pipeline(), **SMALL | {"choices": choices})
    assert type(calibration).read(calibration.write(tmp_path)) == calibration


def test_a_scheduler_of_second_order_is_calibrated_but_for_single_timesteps():
    pipe = pipeline(scheduler=Diffusion().scheduler("heun"))
    own = evolve(FEW, schedulers=[None], spacings=[None], iterations=[6])
    found = calibrate(pipe, **SMALL | {"budgets": [40, 80], "choices": own})
    assert {each.way.iterations for each in found.tried} == {6}
    assert not found.sensitivities


def test_what_stands_in_the_way_is_told():
    with pytest.raises(InvalidValueError, match="No way could be tried: budgets=\\[3\\]"):
        calibrate(pipeline(), **SMALL | {"budgets": [3], "choices": evolve(FEW, iterations=[5])})
    with pytest.raises(InvalidValueError, match=r"must be a tensor of \(1, 1, 4, 4\)"):
        calibrate(pipeline(), **SMALL, asked={"class_labels": [0]})


def test_guided_runs_are_calibrated_guided():
    calibration = calibrate(pipeline(), **SMALL, guidance_scale=2.0)
    assert calibration.guidance_scale == 2
    assert calibration.tried[0].errors != calibrate(pipeline(), **SMALL).tried[0].errors


def test_what_the_process_does_not_know_is_left_out():
    choices = Choices(
        schedulers=["euler", "dpm++"],
        spacings=["linear"],
        iterations=[1],
        solvers=[],
        inits=[],
        allocations=[],
        lengths=[],
    )
    zero = Diffusion("v_prediction", zero_terminal_snr=True)
    found = calibrate(
        pipeline(scheduler=zero.scheduler()), samples=2, budgets=[12], choices=choices
    )
    assert {each.way.scheduler for each in found.tried} == {None, "dpm++"}
    assert not found.sensitivities


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"samples": 0}, "samples=0"),
        ({"seed": -1}, "seed=-1"),
        ({"budgets": []}, "budgets: must hold one at least"),
        ({"budgets": [2]}, "budgets=2"),
        ({"budgets": [8.5]}, "budgets=8.5"),
        ({"budgets": [8, "x"]}, "budgets='x'"),
        ({"guidance_scale": math.nan}, "guidance_scale=nan"),
    ],
)
def test_wrong_input_is_told_in_one_sentence(options, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        small(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"schedulers": []}, "schedulers: must hold one"),
        ({"iterations": [0]}, "iterations=0"),
        ({"lengths": [1]}, "lengths=1"),
        ({"counts": [1, 3]}, "must be 1, 2 and more"),
        ({"counts": [1, 2, 2]}, "each above the last"),
        ({"counts": [1, 2, 0.5]}, "counts=0.5"),
        ({"lengths": [2000]}, "lengths=2000"),
        ({"spacings": ["lat"]}, "spacing='lat'"),
        ({"schedulers": ["dpm"]}, "No scheduler is named 'dpm'"),
        ({"allocations": ["rising"]}, "Available: adaptive"),
        ({"solvers": ["anderson:memory=3"]}, "anderson"),
    ],
)
def test_wrong_choices_are_told_in_one_sentence(options, sentence):
    with pytest.raises((InvalidValueError, UnknownNameError), match=sentence):
        Choices(**options)


def test_an_explicit_network_has_nothing_to_calibrate():
    with pytest.raises(InvalidValueError, match="A DiT has no implicit layer"):
        small(pipeline(tiny_dit()))


def test_a_network_that_says_nothing_finite_cannot_be_calibrated():
    model = tiny()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InvalidValueError, match="does not end with finite samples"):
            calibrate(pipeline(model), **SMALL)


def test_finals_of_one_noise_are_what_the_pipeline_draws():
    pipe = pipeline()
    noise = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    finals = Finals(pipe, noise, {"class_labels": [0, 1, 2]}, {})
    found = finals.of(Way(2), 16)
    drawn = draw(pipe, latents=noise, budget=16, num_inference_steps=4, generator=None)
    assert torch.equal(found.samples, drawn.images.double())
    assert found.timesteps == tuple(float(step.timestep) for step in drawn.steps)


def test_tried_ways_hold_no_budget_that_they_cannot_pay():
    choices = Choices(
        schedulers=["dpm++"], spacings=["linear"], iterations=[1, 9], lengths=[], allocations=[]
    )
    found = calibrate(pipeline(), samples=2, budgets=[4, 12], choices=choices)
    by_way = {each.way: each for each in found.tried if isinstance(each, Tried)}
    assert by_way[Way(1, "dpm++", "linear")].budgets == (4, 12)
    assert by_way[Way(9, "dpm++", "linear")].budgets == (12,)
