"""Callbacks see each step, may change it, and may end the run."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

import pytest
import torch
from diffusers.callbacks import PipelineCallback

import fpdm
from fpdm.errors import InvalidValueError
from tests.sampling.pipelines import draw, images, pipeline


def test_a_callback_sees_each_step_and_may_change_the_latents():
    seen = []

    def watch(pipe, index, timestep, tensors):
        seen.append((index, int(timestep), sorted(tensors), tensors["residual"].shape))
        assert isinstance(pipe, fpdm.FPDMPipeline)

    pipe = pipeline(scheduler=fpdm.EvenDDIMScheduler())
    plain = images(pipe)
    inputs = ["latents", "residual"]
    watched = images(pipe, callback_on_step_end=watch, callback_on_step_end_tensor_inputs=inputs)
    assert torch.equal(watched, plain)
    assert seen == [(i, t, inputs, (3,)) for i, t in enumerate([999, 666, 333, 0])]

    def freeze(_, index, __, tensors):
        return {"latents": torch.ones_like(tensors["latents"])} if index == 3 else tensors

    assert torch.equal(images(pipe, callback_on_step_end=freeze), torch.ones(3, 1, 4, 4))

    def zero(_, index, __, tensors):
        return {"latents": 0 * tensors["latents"]} if index == 1 else {}

    assert not torch.equal(images(pipe, callback_on_step_end=zero), plain)


def test_a_callback_may_end_the_run():
    def stop(pipe, index, *_):
        pipe._interrupt = index == 1

    pipe = pipeline()
    assert len(draw(pipe, callback_on_step_end=stop).steps) == 2
    assert pipe.interrupt
    assert len(draw(pipe).steps) == 4


def test_a_run_within_a_run_ends_alone():
    def inner(pipe, index, *_):
        pipe._interrupt = index == 0

    def outer(pipe, *_):
        assert len(draw(pipe, callback_on_step_end=inner).steps) == 1
        assert not pipe.interrupt

    pipe = pipeline()
    assert len(draw(pipe, callback_on_step_end=outer).steps) == 4


def test_runs_in_threads_do_not_see_each_other():
    pipe, meeting = pipeline(), Barrier(2, timeout=60)
    lengths = {4: 2, 6: 6}  # the shorter one is ended after two timesteps

    def run(steps):
        def meet(pipe, index, *_):
            if index < 2:
                meeting.wait()
            if steps == 4 and index == 1:
                pipe._interrupt = True

        options = {"num_inference_steps": steps, "budget": 4 * steps}
        return draw(pipe, callback_on_step_end=meet, **options)

    before = pipe.scheduler.timesteps
    with ThreadPoolExecutor(2) as pool:
        made = dict(zip(lengths, pool.map(run, lengths), strict=True))
    assert {steps: len(made[steps].steps) for steps in lengths} == lengths
    alone = draw(pipe, num_inference_steps=6, budget=24)
    assert torch.equal(made[6].images, alone.images)
    assert pipe.scheduler.timesteps is before


def test_from_outside_all_runs_of_a_pipeline_are_ended():
    pipe = pipeline()

    def stop(*_):
        button = Thread(target=lambda: setattr(pipe, "_interrupt", True))
        button.start()
        button.join()

    assert len(draw(pipe, callback_on_step_end=stop).steps) == 1


def test_callbacks_of_diffusers_say_themselves_what_they_want():
    class Doubled(PipelineCallback):
        tensor_inputs = ("latents",)

        def callback_fn(self, pipeline, step_index, timestep, callback_kwargs):
            del pipeline, step_index, timestep
            return {"latents": 2 * callback_kwargs["latents"]}

    pipe = pipeline()
    assert not torch.equal(images(pipe, callback_on_step_end=Doubled()), images(pipe))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"callback_on_step_end": 3}, "must be callable"),
        (
            {"callback_on_step_end": print, "callback_on_step_end_tensor_inputs": ["prompt"]},
            r"\['prompt'\] are not among \['latents', 'residual'\]",
        ),
        ({"callback_on_step_end": lambda *_: {"latents": torch.ones(2)}}, "no tensor of"),
    ],
)
def test_a_callback_that_cannot_be_is_refused(options, message):
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), **options)


def test_tensors_of_a_callback_must_be_a_list():
    with pytest.raises(InvalidValueError, match="tensor_inputs=5: must be a list of names"):
        draw(
            pipeline(),
            callback_on_step_end=lambda *_: {},
            callback_on_step_end_tensor_inputs=5,
        )
