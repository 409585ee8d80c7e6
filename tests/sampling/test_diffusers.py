"""Our networks in the pipelines of diffusers, and its schedulers in ours."""

import pytest
import torch
from diffusers import DDIMParallelScheduler, DDIMScheduler, DDPMScheduler, DiTPipeline

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from tests.sampling.pipelines import draw, images, pipeline, seeded, tiny_vae
from tests.toys import lively, tiny, tiny_dit


@pytest.mark.parametrize("network", [fpdm.DiT, fpdm.FPDiT])
@pytest.mark.parametrize("learn_sigma", [True, False])
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_the_stock_pipeline_of_dit_runs_our_networks(network, learn_sigma, guidance_scale):
    sizes = {"sample_size": 4, "hidden_size": 16, "num_heads": 2, "num_classes": 1000}
    model = lively(network(**sizes, learn_sigma=learn_sigma))
    scheduler = DDIMScheduler(prediction_type="epsilon", clip_sample=False)
    pipe = DiTPipeline(model, tiny_vae(), scheduler, id2label={0: "tench", 999: "toilet paper"})
    pipe.set_progress_bar_config(disable=True)
    call = {"num_inference_steps": 3, "guidance_scale": guidance_scale}
    labels = pipe.get_label_ids(["tench", "toilet paper"])
    pictures = pipe(labels, generator=seeded(), output_type="pt", **call).images
    assert pictures.shape == (2, 3, 8, 8)
    ours = fpdm.FPDMPipeline(model, scheduler, vae=pipe.vae)
    ours.set_progress_bar_config(disable=True)
    same = ours(labels, generator=seeded(), output_type="pt", solver=None, **call).images
    if network is fpdm.DiT:  # ours carries what a solver learns to the next timestep
        torch.testing.assert_close(same, pictures, rtol=1e-4, atol=1e-4)
    else:
        kwargs = {"solver": fpdm.solver("anderson"), **call}
        model.layer.solver = fpdm.solver("anderson")
        pictures = pipe(labels, generator=seeded(), output_type="pt", **call).images
        same = ours(labels, generator=seeded(), output_type="pt", **kwargs).images
        torch.testing.assert_close(same, pictures, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", [tiny(learn_sigma=True), tiny_dit(learn_sigma=True)])
def test_a_learned_variance_is_used_where_it_can_be_and_dropped_elsewhere(model):
    process = Diffusion("epsilon")
    pipe = pipeline(model, process.scheduler("ddpm", learned_variance=True))
    call = {"budget": None}
    used = images(pipe, **call)
    assert not torch.equal(used, images(pipe, scheduler=process.scheduler("ddpm"), **call))
    for name in ("ddim", "dpm++", "unipc", "euler", "euler-ancestral", "heun"):
        steps = 7 if name == "heun" else 4  # of which it is sound
        drawn = images(pipe, scheduler=name, num_inference_steps=steps, **call)
        assert drawn.shape == (3, 1, 4, 4), name


@pytest.mark.parametrize("channels", [1, 4])
def test_a_variance_type_that_a_scheduler_inherits_is_harmless(channels):
    from diffusers import DPMSolverMultistepScheduler

    pipe = pipeline(
        tiny(learn_sigma=True, in_channels=channels),
        Diffusion("epsilon").scheduler("ddpm", learned_variance=True),
    )
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    assert pipe.scheduler.config.variance_type == "learned_range"
    plain = images(pipe, scheduler="dpm++")
    assert plain.shape == images(pipe).shape == (3, channels, 4, 4)
    assert pipe.scheduler.config.variance_type == "learned_range"


def test_a_variance_that_is_missing_is_named():
    learned = DDPMScheduler(variance_type="learned_range", prediction_type="v_prediction")
    with pytest.raises(InvalidValueError, match="network predicts no variance; use variance_type"):
        draw(pipeline(), scheduler=learned)


def test_the_ddim_of_diffusers_is_warned_of_where_it_is_wrong():
    wrong = DDIMScheduler(prediction_type="v_prediction", timestep_spacing="linspace")
    with pytest.warns(UserWarning, match="use fpdm.EvenDDIMScheduler, or scheduler='ddim'"):
        draw(pipeline(), scheduler=wrong)
    parallel = DDIMParallelScheduler(prediction_type="v_prediction", timestep_spacing="linspace")
    with pytest.warns(UserWarning, match="DDIMParallelScheduler.* does not step to the next"):
        draw(pipeline(), scheduler=parallel)
    draw(pipeline(), scheduler=DDIMScheduler(prediction_type="v_prediction"))
