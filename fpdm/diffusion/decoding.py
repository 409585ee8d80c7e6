"""From what a run ends with to images, and which of them are none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from fpdm import batch
from fpdm.checks import check_choice, shows
from fpdm.errors import InvalidValueError, SamplingWarning, listed

OUTPUT_TYPES = ("pil", "np", "pt", "latent")


@frozen(eq=False)
class Images:
    """What a run made.

    Attributes:
        images: as they were asked for.
        broken: the indices of those that are not finite.
    """

    images: Any
    broken: tuple[int, ...]


def output_of(asked: str | None, sample: tuple[int, ...], *, vae: Any) -> str:
    """As what a run gives its samples.

    Args:
        asked: `pil`, `np`, `pt` or `latent`; None is `pil` where they can be looked at, else `np`.
        sample: the shape of one, (C, …).
        vae: the `AutoencoderKL` that decodes them; None for none.

    Returns:
        One of the four.

    Raises:
        InvalidValueError: there is no such type, or the samples cannot be had as it.
    """
    flat = len(sample) == 3
    if asked is None:
        asked = "pil" if flat else "np"
    check_choice("output_type", asked, choices=OUTPUT_TYPES)
    if flat and asked != "latent" and vae is None and not shows(sample):
        raise InvalidValueError(
            f"output_type={asked!r}: the network draws latents of {sample[0]} channels, and the "
            f"pipeline has no vae to decode them; give it one, or ask for 'latent'."
        )
    if asked == "pil" and not flat:
        raise InvalidValueError(
            f"output_type='pil': the network draws samples of shape {sample}, which are no "
            f"pictures; ask for 'np' or 'pt'."
        )
    return asked


def to_images(latents: Tensor, *, vae: Any, processor: Any, output_type: str) -> Images:
    """Make images of what a run ends with, and find those that are none.

    An image is broken where anything of it, or of its latents, is NaN or infinite. As `np` and
    `pt` it is NaN all over, as `pil` black, so that nothing of it can be taken for a picture; as
    `latent` it is as it is.

    Samples that are no images, such as points, come as they are, whatever they reach.

    Args:
        latents: (B, C, …); in [-1, 1] if they are images and there is no vae.
        vae: the `AutoencoderKL` that decodes them; None for none.
        processor: the `VaeImageProcessor` that makes images of tensors.
        output_type: `pil`, `np`, `pt` or `latent`.

    Returns:
        The images, and the indices of the broken ones.
    """
    whole = _finite(latents)
    if output_type == "latent":
        return Images(latents, _indices(whole))
    if latents.dim() != 4:
        return _as_they_are(latents.float(), whole, output_type)
    images = (latents if vae is None else decode(latents, vae)).float()
    whole = whole & _finite(images)
    broken = _indices(whole)
    if broken:
        filling = -1.0 if output_type == "pil" else torch.nan
        images = images.where(whole[:, None, None, None], filling)
    return Images(processor.postprocess(images, output_type), broken)


def _as_they_are(samples: Tensor, whole: Tensor, output_type: str) -> Images:
    samples = samples.where(batch.spread(whole, samples), torch.nan)
    found = samples.cpu().numpy() if output_type == "np" else samples
    return Images(found, _indices(whole))


def decode(latents: Tensor, vae: Any) -> Tensor:
    """Decode scaled latents, in float32 where the configuration of the VAE has `force_upcast`.

    Its weights are then in float32 for as long as that takes, and each in its own type again after.

    Args:
        latents: (B, C, H, W).
        vae: an `AutoencoderKL`.

    Returns:
        The images, (B, C, H, W), in [-1, 1] but for what overshoots.
    """
    config = vae.config
    latents = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
    if not getattr(config, "force_upcast", False):
        return _decoded(latents, vae)
    with _lock_of(vae), _upcast(vae):
        return _decoded(latents, vae)


def _decoded(latents: Tensor, vae: Any) -> Tensor:
    images: Tensor = vae.decode(latents.to(vae.dtype)).sample
    return images


_LOCKS: WeakKeyDictionary[Any, Lock] = WeakKeyDictionary()
_LOOKING = Lock()


def _lock_of(vae: Any) -> Lock:
    """One for each VAE, since several runs may be at work with it."""
    with _LOOKING:
        return _LOCKS.setdefault(vae, Lock())


@contextmanager
def _upcast(vae: Any) -> Iterator[None]:
    """Have what is less than float32 of a module in float32."""
    tensors = [*vae.parameters(), *vae.buffers()]
    if any(tensor.is_meta for tensor in tensors):  # its weights come and go with its layers
        yield
        return
    short = [each for each in tensors if each.is_floating_point() and each.element_size() < 4]
    kept = [tensor.dtype for tensor in short]
    try:
        for tensor in short:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in zip(short, kept, strict=True):
            tensor.data = tensor.data.to(dtype)


_TOLD: ContextVar[bool] = ContextVar("fpdm_told", default=False)


@contextmanager
def told_elsewhere() -> Iterator[None]:
    """Leave it to the caller to warn of the images of its runs that are not finite.

    Yields:
        Nothing.
    """
    token = _TOLD.set(True)
    try:
        yield
    finally:
        _TOLD.reset(token)


def warn_of_broken(broken: Sequence[int], *, seeds: Sequence[int] = ()) -> None:
    """Warn that images are not finite, if there are any.

    Args:
        broken: their numbers.
        seeds: of their noise; empty where they have none of their own.

    Warns:
        SamplingWarning: there are any.
    """
    if not broken or _TOLD.get():
        return
    warnings.warn(
        f"{_name(broken, seeds)} not finite: the network or the VAE made NaN or infinity, as "
        f"half precision or a large guidance_scale can. The others are as they would be alone.",
        SamplingWarning,
        stacklevel=4,
    )


def _name(broken: Sequence[int], seeds: Sequence[int]) -> str:
    """Such as `Images 3, 17 (seeds 5, 19) are`."""
    one = len(broken) == 1
    of = f" (seed{'' if one else 's'} {listed(seeds)})" if seeds else ""
    return f"Image{'' if one else 's'} {listed(broken)}{of} {'is' if one else 'are'}"


def _finite(images: Tensor) -> Tensor:
    """Whether each image is finite, (B,)."""
    return images.isfinite().flatten(1).all(dim=1)


def _indices(whole: Tensor) -> tuple[int, ...]:
    """Where it is not so; for this a run waits for the device, once and when it is over."""
    return tuple(np.flatnonzero(~whole.cpu().numpy()).tolist())
