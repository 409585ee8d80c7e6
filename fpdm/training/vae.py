"""The way from latents back to images, where it is known."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from fpdm.data import LatentSpace
from fpdm.diffusion.autoencoder import load_vae
from fpdm.errors import InvalidValueError, TrainingWarning

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def find_vae(space: LatentSpace | None) -> AutoencoderKL | None:
    """Load the VAE of a latent space; None for images, and where it cannot be had.

    Args:
        space: of the data; None for images.

    Returns:
        The autoencoder, in float32 on the CPU.

    Warns:
        TrainingWarning: it cannot be had; the training then draws latents.
    """
    if space is None or space.vae is None:
        return None
    try:
        return load_vae(space.vae)
    except InvalidValueError as error:
        warnings.warn(
            f"{error} The training draws latents, and no pictures of samples.",
            TrainingWarning,
            stacklevel=3,
        )
        return None
