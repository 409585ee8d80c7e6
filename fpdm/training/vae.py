"""The way from latents back to images, where it is known."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from fpdm.data import LatentSpace
from fpdm.errors import TrainingWarning

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def find_vae(space: LatentSpace | None) -> AutoencoderKL | None:
    """Load the VAE of a latent space; None for images, and where it cannot be had.

    Warns:
        TrainingWarning: it cannot be had; the training then draws latents.
    """
    if space is None or space.vae is None:
        return None
    from diffusers import AutoencoderKL

    try:
        return AutoencoderKL.from_pretrained(space.vae)
    except Exception as error:  # of a hub, a network or a file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(
            f"the VAE {space.vae} of the latents cannot be loaded ({reason}); the training draws "
            f"latents, and no pictures of samples.",
            TrainingWarning,
            stacklevel=3,
        )
        return None
