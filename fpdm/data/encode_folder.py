"""A folder of images to a folder of latents."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fpdm.checks import check_whole
from fpdm.data.autoencoder import image_channels, latent_size, vae_name, vae_sha256
from fpdm.data.encoding import EncodedShard, Encoding
from fpdm.data.index import PLAN, LatentsIndex
from fpdm.data.listing import Listing, list_images
from fpdm.data.plan import Plan
from fpdm.data.records import read_record
from fpdm.data.target import check_target
from fpdm.errors import DataWarning, InvalidValueError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def encode(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    vae: AutoencoderKL,
    image_size: int,
    store: str = "moments",
    flip: bool = True,
    dtype: str = "float16",
    batch_size: int = 32,
    shard_size: int = 4096,
    seed: int = 0,
    strict: bool = False,
    workers: int = 0,
) -> Iterator[EncodedShard]:
    """Write the latents of a folder of images, to be read by [`Latents`][fpdm.data.Latents].

    A run that ends early leaves whole shards; the same call goes on from there, and if all is there
    it yields nothing. Under `torchrun` or `accelerate launch` the processes share the shards. The
    bytes written are the same however often a run was interrupted, and however many processes there
    are, as long as they compute on the same kind of device.

    Args:
        source: a folder of images, as [`ImageFolder`][fpdm.data.ImageFolder] reads it.
        target: a folder that is empty, does not exist yet, or was begun by the same call.
        vae: the autoencoder, which is moved to the device of this process.
        image_size: height and width that images are brought to, in pixels.
        store: `moments`, to draw a new latent of an image each time it is read, or one `sample`.
        flip: whether mirrored images are encoded too.
        dtype: of the latents, `float16`, `bfloat16` or `float32`.
        batch_size: how many images the VAE sees at once.
        shard_size: images of a file.
        seed: of samples.
        strict: whether an image that cannot be read is an error; otherwise it is left out.
        workers: processes that read images ahead.

    Yields:
        Each shard of this process, when it is on the disk.

    Raises:
        InvalidValueError: a value is not allowed; `source` is no folder of images, or none can be
            read; `target` holds something else, or was begun with other arguments.
    """
    if not isinstance(strict, bool):
        raise InvalidValueError(f"strict={strict!r}: must be true or false.")
    check_whole("workers", workers, minimum=0)
    listing = _listing(source, Path(target))
    plan = Plan(
        images=len(listing.files),
        listing=listing.fingerprint(),
        vae=vae_name(vae),
        vae_sha256=vae_sha256(vae),
        image_size=image_size,
        store=store,
        flip=flip,
        dtype=dtype,
        batch_size=batch_size,
        shard_size=shard_size,
        seed=seed,
    )
    run = Encoding(
        listing=listing,
        target=Path(target),
        vae=vae,
        channels=image_channels(vae),
        plan=plan,
        outline=_outline(listing, vae, plan),
        strict=strict,
        workers=workers,
    )
    check_target(run.target, plan)
    return run.shards()


def _listing(source: str | os.PathLike[str], target: Path) -> Listing:
    """The images, in the order in which a run that is gone on with has them."""
    listing = list_images(source)
    if not (target / PLAN).is_file():
        return listing
    begun = read_record(target / PLAN, Plan).listing
    if begun == listing.fingerprint():
        return listing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        older = list_images(source, order="text")
    return older if begun == older.fingerprint() else listing


def _outline(listing: Listing, vae: AutoencoderKL, plan: Plan) -> LatentsIndex:
    """The index as far as it is known before anything is encoded."""
    shift = vae.config.get("shift_factor")
    return LatentsIndex(
        stored=plan.store,
        flipped=plan.flip,
        dtype=plan.dtype,
        channels=vae.config["latent_channels"],
        size=latent_size(vae, plan.image_size),
        image_size=plan.image_size,
        class_names=listing.class_names,
        vae=plan.vae,
        scaling_factor=vae.config["scaling_factor"],
        shift_factor=0.0 if shift is None else shift,
        shards=(),
        unreadable=(),
    )
