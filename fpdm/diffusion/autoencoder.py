"""Loading the way from latents to images, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def load_vae(name: str) -> AutoencoderKL:
    """Load an `AutoencoderKL` from a folder or by its hub name.

    Args:
        name: the folder, or the hub name.

    Returns:
        The autoencoder, in float32 on the CPU.

    Raises:
        InvalidValueError: it cannot be loaded.
    """
    from diffusers import AutoencoderKL
    from diffusers.utils import logging

    logging.disable_progress_bar()
    try:
        return AutoencoderKL.from_pretrained(name)
    except Exception as error:  # of a hub, a network or a file
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidValueError(f"The VAE {name} cannot be loaded: {reason[0]}") from error
