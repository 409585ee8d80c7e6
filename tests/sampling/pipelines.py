"""Small pipelines, and drawing with them."""

import torch
from diffusers import AutoencoderKL

import fpdm
from fpdm.diffusion import Diffusion
from tests.toys import tiny

NAMES = {0: "cat, kitten", 1: "dog", 2: "bird"}


def tiny_vae(channels: int = 4, **options) -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8, 8),
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **options,
    ).eval()


def pipeline(model=None, scheduler=None, **parts) -> fpdm.FPDMPipeline:
    pipe = fpdm.FPDMPipeline(model or tiny(), scheduler or Diffusion().scheduler(), **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(pipe, labels=(0, 1, 2), **options):
    options = {"budget": 20, "num_inference_steps": 4, "generator": seeded()} | options
    return pipe(list(labels), **{"output_type": "latent"} | options)


def images(pipe, labels=(0, 1, 2), **options) -> torch.Tensor:
    return draw(pipe, labels, **options).images


def parts() -> fpdm.FPDMPipeline:
    model = tiny(in_channels=4, solver="broyden", init="reuse", learn_sigma=True)
    return pipeline(
        model,
        Diffusion("epsilon").scheduler("ddpm", learned_variance=True),
        vae=tiny_vae(),
        id2label=NAMES,
    )
