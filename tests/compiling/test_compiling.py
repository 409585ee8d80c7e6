"""A compiled run is the run, with one program for each shape and number of iterations."""

import pytest
import torch

import fpdm
from fpdm.diffusion import Diffusion
from tests.compiling.programs import counted, pair
from tests.sampling.pipelines import draw, images, pipeline
from tests.toys import tiny, tiny_dit

DEFAULT = {"name": "anderson", "carry": True}
SOLVERS = [
    *("naive", "anderson", "broyden", DEFAULT),
    {"name": "anderson", "kind": "I", "carry": True},
    {"name": "broyden", "carry": True, "rank": 3},
    {"name": "naive", "damping": 0.7},
]
INITS = ["features", "reuse", "extrapolate", {"name": "extrapolate", "by": "log-snr"}]


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
@pytest.mark.parametrize("init", INITS, ids=str)
@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_a_run_has_one_program_and_the_values_of_eager(solver, init, guidance_scale):
    options = {"solver": solver, "init": init, "guidance_scale": guidance_scale}
    counter = counted()
    eager, pipe = pair(counter, **options)
    torch.testing.assert_close(images(pipe, **options), eager, atol=1e-5, rtol=1e-5)
    assert counter.frame_count == pipe.compiled.count == 1
    torch.testing.assert_close(images(pipe, **options), eager, atol=1e-5, rtol=1e-5)
    assert counter.frame_count == 1


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm", "dpm++", "unipc", "euler", "heun"])
def test_every_scheduler_has_a_program_for_each_number_of_iterations(scheduler):
    options = {"scheduler": scheduler, "budget": 28, "init": "reuse", "guidance_scale": 2.0}
    if scheduler == "heun":  # of which it is sound
        options |= {"num_inference_steps": 7, "budget": 52}
    counter = counted()
    eager, pipe = pair(counter, **options)
    result = draw(pipe, **options)
    torch.testing.assert_close(result.images, eager, atol=1e-5, rtol=1e-4)
    counts = {step.iterations for step in result.steps}
    assert counter.frame_count == pipe.compiled.count == len(counts)


def test_noise_of_the_scheduler_is_that_of_eager():
    scheduler = Diffusion("epsilon").scheduler("ddpm", learned_variance=True)
    model, counter = tiny(learn_sigma=True), counted()
    eager, pipe = (pipeline(model, scheduler) for _ in range(2))
    pipe.compile(backend=counter)
    torch.testing.assert_close(images(pipe), images(eager), atol=1e-5, rtol=1e-5)
    assert counter.frame_count == 1


def test_there_is_a_program_for_each_number_of_iterations():
    options = {"budget": 60, "num_inference_steps": 12, "allocation": "increasing"}
    counter = counted()
    eager, pipe = pair(counter, tiny(solver="naive"), **options)
    result = draw(pipe, **options)
    counts = {step.iterations for step in result.steps}
    assert len(counts) > 3
    torch.testing.assert_close(result.images, eager, atol=1e-5, rtol=1e-5)
    assert counter.frame_count == len(counts)


def test_there_is_a_program_with_guidance_and_one_without():
    options = {"guidance_scale": 2.0, "guidance_interval": (0.25, 0.75), "init": "reuse"}
    options |= {"num_inference_steps": 8, "budget": 32}
    counter = counted()
    eager, pipe = pair(counter, **options)
    torch.testing.assert_close(images(pipe, **options), eager, atol=1e-5, rtol=1e-5)
    assert counter.frame_count == 2


def test_there_is_a_program_for_each_batch_size_however_many_there_are():
    counter = counted()
    _, pipe = pair(counter, tiny(solver="naive"))
    for size in range(1, 11):
        images(pipe, [0] * size, budget=12)
    assert counter.frame_count == pipe.compiled.count == 10


def test_an_explicit_network_is_compiled_too():
    counter = counted()
    eager, pipe = pair(counter, tiny_dit(depth=2), budget=8, guidance_scale=2.0)
    compiled = images(pipe, budget=8, guidance_scale=2.0)
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    assert counter.frame_count == 1


def test_steps_tell_the_same():
    counter = counted()
    model = tiny(init="reuse")
    eager, compiled = (
        draw(pipe).steps for pipe in (pipeline(model), pipeline(model).compile(backend=counter))
    )
    for one, other in zip(eager, compiled, strict=True):
        assert one.iterations == other.iterations
        assert one.passes == other.passes
        torch.testing.assert_close(one.residual, other.residual, atol=1e-5, rtol=1e-4)
        assert torch.equal(one.status, other.status)


def test_a_policy_that_looks_at_residuals_decides_as_it_does_without():
    options = {"allocation": "adaptive", "budget": 40, "solver": "naive"}
    eager, pipe = pair(counted(), **options)
    torch.testing.assert_close(images(pipe, **options), eager, atol=1e-5, rtol=1e-5)


def test_two_runs_that_take_turns_do_not_see_each_other():
    counter = counted()
    eager, pipe = pair(counter, tiny(init="reuse"))
    inside = []

    def another(pipe, index, _, __):
        if index == 1:
            inside.append(images(pipe))
        return {}

    outside = images(pipe, callback_on_step_end=another)
    torch.testing.assert_close(outside, eager, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(inside[0], eager, atol=1e-5, rtol=1e-5)
    assert counter.frame_count == 1


def test_the_images_that_a_callback_puts_in_their_place_are_taken():
    counter = counted()

    def halve(_, __, ___, tensors):
        return {"latents": tensors["latents"] / 2}

    eager, pipe = pair(counter, callback_on_step_end=halve)
    torch.testing.assert_close(images(pipe, callback_on_step_end=halve), eager)
    assert counter.frame_count == 1


def test_how_long_compiling_took_is_kept_and_shown(capsys):
    pipe = pipeline(tiny(solver="naive")).compile(backend="eager")
    assert pipe.compiled.seconds == 0
    pipe.set_progress_bar_config(disable=False)
    images(pipe)
    took = pipe.compiled.seconds
    assert took > 0
    assert f"compiling took {took:.1f} s" in capsys.readouterr().err
    images(pipe)
    assert pipe.compiled.seconds == took
    assert "compiling" not in capsys.readouterr().err


def test_what_is_not_allowed_is_said_as_without_a_compiler():
    pipe = pipeline(tiny(solver="naive")).compile(backend="eager")
    pipe.scheduler = Diffusion("epsilon").scheduler("ddpm", learned_variance=True)
    pipe.register_to_config(prediction_type="epsilon")
    with pytest.raises(fpdm.FPDMError, match="predicts no variance"):
        images(pipe)


def test_weights_that_change_in_place_are_seen():
    counter = counted()
    model = tiny(solver="naive")
    _, pipe = pair(counter, model)
    images(pipe)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    torch.testing.assert_close(images(pipe), images(pipeline(model)), atol=1e-5, rtol=1e-5)
    assert counter.frame_count == 1
