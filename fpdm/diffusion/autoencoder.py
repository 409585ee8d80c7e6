"""Loading the way from latents to images, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

LOADING = ("torch_dtype", "variant", "use_safetensors", "low_cpu_mem_usage")
"""Options of a pipeline's loading that are of each of its parts."""


def vae_of(folder: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The autoencoder in the folder of a pipeline, loaded whole or not at all.

    Args:
        folder: of the pipeline, or its name on the hub.
        options: of diffusers, with which the pipeline is loaded.

    Returns:
        It as `vae`; nothing where there is none, or one is among the options.

    Raises:
        InvalidValueError: it cannot be loaded, or weights of it are missing or too many.
    """
    place = Path(folder) / "vae"
    if "vae" in options or not place.is_dir():
        return {}
    return {"vae": load_vae(str(place), **{k: v for k, v in options.items() if k in LOADING})}


def load_vae(name: str, **options: Any) -> AutoencoderKL:
    """Load an `AutoencoderKL` from a folder or by its hub name.

    Args:
        name: the folder, or the hub name.
        options: of diffusers, such as `torch_dtype`.

    Returns:
        The autoencoder, in float32 on the CPU unless the options say otherwise.

    Raises:
        InvalidValueError: it cannot be loaded, or weights of it are missing or too many.
    """
    from diffusers import AutoencoderKL
    from diffusers.utils import logging

    logging.disable_progress_bar()
    try:
        vae, told = AutoencoderKL.from_pretrained(name, **{**options, "output_loading_info": True})
    except Exception as error:  # of a hub, a network or a file
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidValueError(f"The VAE {name} cannot be loaded: {reason[0]}") from error
    wrong = [*told["missing_keys"], *told["unexpected_keys"]]
    if wrong:
        raise InvalidValueError(
            f"The VAE {name} cannot be loaded: its weights lack, or have too many, {wrong[0]} and "
            f"{len(wrong) - 1} others."
        )
    return cast("AutoencoderKL", vae)
