"""`fpdm encode`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fpdm.cli import console, progress
from fpdm.cli.components import Whole
from fpdm.cli.files import Place, check_source
from fpdm.errors import listed, shown

if TYPE_CHECKING:
    from fpdm.data import EncodedShard, Latents

SHOWN = 5
MOST_WORKERS = 4
EXAMPLES = (
    "fpdm encode imagenet/train latents/imagenet --vae stabilityai/sd-vae-ft-ema",
    "torchrun --nproc-per-node 8 -m fpdm encode imagenet/train latents/imagenet --vae vaes/ema",
)


def encode(
    source: Place,
    target: Place,
    /,
    *,
    vae: str,
    image_size: Whole = 256,
    store: str = "moments",
    flip: bool = True,
    dtype: str = "float16",
    batch_size: Whole = 32,
    shard_size: Whole = 4096,
    seed: Whole = 0,
    strict: Annotated[bool, Parameter(negative=())] = False,
    workers: Whole | None = None,
) -> None:
    """Write the latents of a folder of images, so that a training need not encode them.

    A run that was interrupted goes on where it ended when it is started again with the same
    arguments. Under `torchrun` or `accelerate launch` all processes share the work; the files are
    the same however many there are.

    Args:
        source: a folder of images, `source/class/...`, or without folders where there are no
            classes.
        target: the folder to write, which is new, empty, or was begun with the same arguments.
        vae: folder or hub name of an `AutoencoderKL`.
        image_size: height and width that images are brought to, in pixels.
        store: `moments`, to draw a new latent of an image each time it is read, or one `sample`.
        flip: whether mirrored images are encoded too.
        dtype: of the latents: `float16`, `bfloat16` or `float32`.
        batch_size: how many images the VAE sees at once.
        shard_size: images of a file.
        seed: of samples.
        strict: whether an image that cannot be read ends the run; otherwise it is left out.
        workers: processes that read images ahead; if not given, as many as there are cores, and
            four at most.
    """
    check_source(source)

    from fpdm.data import Latents
    from fpdm.data import encode as encode_folder
    from fpdm.diffusion import load_vae
    from fpdm.runtime.processes import processes

    here = processes()
    shards = encode_folder(
        source,
        target,
        vae=load_vae(vae),
        image_size=image_size,
        store=store,
        flip=flip,
        dtype=dtype,
        batch_size=batch_size,
        shard_size=shard_size,
        seed=seed,
        strict=strict,
        workers=_share_of_cores(here.num_processes) if workers is None else workers,
    )
    made = _follow(shards, source.name, shown=here.is_main_process)
    here.destroy_process_group()
    if here.is_main_process:
        latents = Latents(target, verify=False)
        console.table(f"Latents of {source}", ("data set", ""), _summary(latents))
        _note_unreadable(latents)
        done = "Saved to" if made else "Nothing was left to do in"
        console.say(f"{done} {target}. Read with: fpdm.data.Latents({str(target)!r})")


def _share_of_cores(processes: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_WORKERS, (cores or 1) // processes)


def _follow(shards: Iterator[EncodedShard], name: str, *, shown: bool) -> int:
    """Make the shards under a progress bar, and count them."""
    made = 0
    with progress.bar(desc=name, unit="image", disable=not shown, delay=0.1) as bar:
        for shard in shards:
            made += 1
            bar.total = shard.total
            if shard.kept:
                bar.initial += shard.done - bar.n
            bar.update(shard.done - bar.n)
    return made


def _summary(latents: Latents) -> list[tuple[str, str]]:
    index = latents.index
    size = sum(entry.bytes for entry in index.shards)
    return [
        ("images", str(len(latents))),
        ("unreadable", str(len(index.unreadable))),
        ("classes", str(len(index.class_names))),
        ("image size", f"{index.image_size} × {index.image_size}"),
        ("latents", f"{index.channels} × {index.size} × {index.size}, {index.dtype}"),
        ("stored", f"{index.stored}{', and those of mirrored images' * index.flipped}"),
        ("files", f"{len(index.shards)}, {size / 1e6:,.2f} MB"),
    ]


def _note_unreadable(latents: Latents) -> None:
    if unreadable := latents.index.unreadable:
        console.warn(
            f"{len(unreadable)} of the images could not be read, and are left out: "
            f"{listed([*map(shown, unreadable)], SHOWN)}."
        )
