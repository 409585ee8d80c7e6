"""Where the noise of a run comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from fpdm.checks import sample_shape
from fpdm.errors import InvalidValueError


def check_generators(generator: Any, count: int) -> None:
    """Check that there is one generator for all images, or one for each.

    Args:
        generator: a `torch.Generator`, a list of them, or None.
        count: how many images.

    Raises:
        InvalidValueError: there is something else.
    """
    if generator is None:
        return
    every = generator if isinstance(generator, list) else [generator]
    if not all(isinstance(one, torch.Generator) for one in every):
        raise InvalidValueError("generator: must be a torch.Generator, or a list of them.")
    if isinstance(generator, list) and len(generator) != count:
        raise InvalidValueError(
            f"generator: a list of {len(generator)} for {count} images; must have one for each."
        )


def seeds_of(generator: Any, indices: Iterable[int]) -> tuple[int, ...]:
    """The seeds of some images of a run, where each image has one of its own.

    Args:
        generator: of the run.
        indices: of the images.

    Returns:
        One for each; none if one generator is for all images.
    """
    each = generator if isinstance(generator, list) else []
    return tuple(each[index].initial_seed() for index in indices) if each else ()


def begin(
    latents: Tensor | None,
    generator: Any,
    scheduler: Any,
    *,
    network: Any,
    count: int,
    device: torch.device,
) -> Tensor:
    """The noise of a run, in the scale of its scheduler.

    Args:
        latents: standard normal, (B, C, …); None draws it.
        generator: one for all samples, or one for each.
        scheduler: of diffusers, its timesteps set.
        network: that draws; its configuration has the sizes.
        count: how many samples, B.
        device: where it goes.

    Returns:
        (B, C, …).

    Raises:
        InvalidValueError: what is given has another shape, or is not finite.
    """
    shape = (count, *sample_shape(network.config))
    made = start(latents, generator, shape=shape, dtype=network.dtype, device=device)
    return made * float(getattr(scheduler, "init_noise_sigma", 1.0))


def start(
    latents: Tensor | None,
    generator: torch.Generator | list[torch.Generator] | None,
    *,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """The noise that a run begins with: what is given, or standard normal.

    Args:
        latents: (B, C, …); None draws it.
        generator: one for all images, or one for each.
        shape: (B, C, …).
        dtype: of the noise.
        device: where it goes.

    Returns:
        (B, C, …).

    Raises:
        InvalidValueError: what is given has another shape, or is not finite.
    """
    if latents is None:
        from diffusers.utils.torch_utils import randn_tensor

        drawn = randn_tensor(shape, generator=generator, device=device, dtype=dtype)
        return cast("Tensor", drawn)
    if not isinstance(latents, Tensor) or latents.shape != shape:
        found = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
        raise InvalidValueError(f"latents are {found}: must be a tensor of {shape}.")
    if not np.isfinite(latents.detach().float().cpu().numpy()).all():
        raise InvalidValueError("latents hold inf or NaN: must be finite.")
    return latents.to(device, dtype)
