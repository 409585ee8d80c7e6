"""What there is to know of an `AutoencoderKL` before it is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fpdm.data.pixels import MODES
from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def vae_name(vae: AutoencoderKL) -> str | None:
    """The folder, from the root of the file system, or the hub name that it was loaded from.

    Args:
        vae: the autoencoder.

    Returns:
        The name; None if it was not loaded.
    """
    name = vae.config.get("_name_or_path")
    if not name:
        return None
    return str(Path(name).resolve()) if Path(name).is_dir() else str(name)


def vae_sha256(vae: AutoencoderKL) -> str:
    """The SHA-256 of its configuration and weights, wherever they were loaded from.

    Args:
        vae: the autoencoder.

    Returns:
        64 hexadecimal digits.
    """
    said = {key: value for key, value in vae.config.items() if not key.startswith("_")}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for name, tensor in sorted(vae.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def latent_size(vae: AutoencoderKL, image_size: int) -> int:
    """The height and width of the latents of images of a size.

    Args:
        vae: the autoencoder.
        image_size: height and width of the images, in pixels.

    Raises:
        InvalidValueError: it takes no images of this size.
    """
    factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
    if image_size % factor:
        raise InvalidValueError(
            f"image_size={image_size}: the VAE takes images whose size is a multiple of {factor}."
        )
    return int(image_size // factor)


def image_channels(vae: AutoencoderKL) -> int:
    """How many channels its images have.

    Args:
        vae: the autoencoder.

    Raises:
        InvalidValueError: there are neither 1 nor 3.
    """
    channels = int(vae.config["in_channels"])
    if channels not in MODES:
        raise InvalidValueError(
            f"The VAE takes images of {channels} channels: must be 1 (grey) or 3 (colours)."
        )
    return channels
