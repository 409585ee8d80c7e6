"""Guidance: which channels, in which interval, and what it costs."""

import pytest
import torch

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.guidance import Guidance
from fpdm.errors import InvalidValueError
from tests.built_ins import built_ins
from tests.sampling.pipelines import draw, images, pipeline
from tests.toys import tiny


def test_guidance_of_some_channels_leaves_the_others_conditional():
    pipe = pipeline(tiny(in_channels=4))
    free, full = images(pipe, guidance_scale=1.0), images(pipe, guidance_scale=4.0)
    one_step = {"num_inference_steps": 1, "budget": 3}
    free, full = (images(pipe, guidance_scale=scale, **one_step) for scale in (1.0, 4.0))
    some = images(pipe, guidance_scale=4.0, guidance_channels=3, **one_step)
    torch.testing.assert_close(some[:, :3], full[:, :3])
    torch.testing.assert_close(some[:, 3:], free[:, 3:])
    assert not torch.allclose(some[:, 3:], full[:, 3:])
    torch.testing.assert_close(
        images(pipe, guidance_scale=4.0, guidance_channels=4), images(pipe, guidance_scale=4.0)
    )


@pytest.mark.parametrize("init", built_ins()["init"])
@pytest.mark.parametrize("solver", [None, "naive"])
def test_outside_its_interval_guidance_costs_nothing(init, solver):
    sizes = []

    def watch(_, args):
        sizes.append(len(args[0]))

    pipe = pipeline()
    handle = pipe.model.layer.register_forward_pre_hook(watch)
    call = {"num_inference_steps": 10, "budget": 50, "init": init, "solver": solver}
    inside = images(pipe, guidance_scale=3.0, guidance_interval=(0.2, 0.6), **call)
    handle.remove()
    assert sizes == [3] * 2 + [6] * 4 + [3] * 4
    assert inside.isfinite().all()
    never = images(pipe, guidance_scale=3.0, guidance_interval=(0.4, 0.4), **call)
    assert torch.equal(never, images(pipe, **call))
    always = images(pipe, guidance_scale=3.0, guidance_interval=(0, 1), **call)
    assert torch.equal(always, images(pipe, guidance_scale=3.0, **call))
    assert not torch.allclose(inside, always)


def test_where_guidance_ends_the_conditional_half_goes_on():
    starts = []

    class Watched(type(fpdm.init("reuse"))):
        def initial(self, features, history, moment):
            starts.append([visited.solution.value for visited in history])
            return super().initial(features, history, moment)

    model, scheduler = tiny(), Diffusion().scheduler()
    scheduler.set_timesteps(3)
    with torch.no_grad():
        steps = list(
            fpdm.sample(
                model,
                scheduler,
                torch.randn(2, 1, 4, 4),
                torch.tensor([0, 1]),
                budget=12,
                init=Watched(),
                guidance_scale=2.0,
                guidance_interval=(0.3, 0.6),
            )
        )
    first, second = (step.solution.value for step in steps[:2])
    assert (len(first), len(second)) == (2, 4)
    assert starts[0] == []
    assert torch.equal(starts[1][0], torch.cat([first, first]))
    assert torch.equal(starts[2][0], second[:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance_scale": -1}, "guidance_scale=-1"),
        ({"guidance_scale": "4"}, "guidance_scale='4'"),
        ({"guidance_channels": 0}, "guidance_channels=0: must be a whole number ≥ 1"),
        ({"guidance_channels": 2}, "guidance_channels=2: the network predicts 1 channels"),
        ({"guidance_interval": (0.6, 0.2)}, "must be \\(start, end\\) with 0 ≤ start ≤ end ≤ 1"),
        ({"guidance_interval": (0, 2)}, "guidance_interval=2: must be a number ≥ 0 and ≤ 1|start"),
        ({"guidance_interval": 0.5}, "guidance_interval=0.5: must be \\(start, end\\)"),
    ],
)
def test_guidance_that_cannot_be_is_refused(options, message):
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), **options)


@pytest.mark.parametrize(("end", "steps"), [(0.07, 100), (0.14, 50), (0.28, 25)])
def test_the_end_of_an_interval_is_exact(end, steps):
    guidance = Guidance(scale=2.0, interval=(0.0, end))
    assert sum(guidance.acts(index, steps=steps) for index in range(steps)) == 7
