"""Many images into a folder, each a function of the seed and its number.

Images are drawn in chunks of one size, because their last bits depend on how many are drawn at
once. Chunk `j` holds the images `j B … (j + 1) B - 1`, and process `j % world` draws it: with any
number of processes, and however often it is interrupted, the same files come about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from attrs import frozen

from fpdm.checks import check_whole
from fpdm.diffusion.decoding import output_of, told_elsewhere, warn_of_broken
from fpdm.diffusion.output import FPDMOutput
from fpdm.drawing.asked import Asked, asked
from fpdm.drawing.numbered import is_whole, numbered, write_images
from fpdm.drawing.provenance import describe, is_kept, keep
from fpdm.pipeline import FPDMPipeline
from fpdm.runtime.locks import in_use

STATES = 2**32
"""States in which a generator on the CPU can begin: of a seed it takes 32 bits."""


@frozen
class Drawn:
    """A chunk of images that are in the folder now.

    Attributes:
        numbers: of its images.
        drawn: how many of them were written now; the others were there, or are broken.
        passes: block passes that each of them cost, on average; None if nothing was drawn.
        broken: numbers of those that are not finite, and not in the folder.
    """

    numbers: range
    drawn: int
    passes: float | None
    broken: tuple[int, ...] = ()


def draw(
    pipe: FPDMPipeline,
    folder: Path | str,
    num: int,
    *,
    seed: int = 0,
    classes: Iterable[int | str] | None = None,
    condition: Any = None,
    batch_size: int = 64,
    rank: int = 0,
    world: int = 1,
    **settings: Any,
) -> Iterator[Drawn]:
    """Draw images into a folder, as `000000.png` and so on; iterate it to make it go on.

    Image `i` is of class `classes[i % len(classes)]`, and its noise comes from `seed` and `i`
    alone; with a `tol` the image depends on the others of its chunk too. Images that are there and
    whole are not drawn again. All that they depend on is kept beside them in `samples.json`.

    Args:
        pipe: what draws; it must draw images, not latents.
        folder: where to; it is made if it is not there.
        num: how many images; a folder of fewer goes on.
        seed: of the noise, from 0 to 2^63 - 1.
        classes: what to draw, in turn, by number or by name; None is every class of the model.
        condition: in their place, (N, K) or (N, T, K), in turn, for a model that takes one.
        batch_size: images drawn at once, also by a last chunk of which fewer are wanted.
        rank: which process this is, from 0. Let process 0 call this before the others do.
        world: how many processes share the work.
        settings: of the pipeline's call: `budget`, `num_inference_steps`, `solver`, `allocation`,
            `init`, `tol`, `scheduler`, `guidance_scale`, `guidance_channels`, `guidance_interval`,
            `timesteps`, `sigmas`, `spacing`, `eta`.

    Raises:
        InvalidValueError: an argument is not allowed, or the folder holds images of other settings,
            or other things and no images; nothing is written then.
        StorageError: another process draws into the folder, or it cannot be written; also while it
            is iterated.
        UnknownNameError: there is no such setting, component, scheduler or class.

    Warns:
        SamplingWarning: images are not finite; it names them by number and seed. They are not
            written, so that a later call draws them again.

    Returns:
        An iterator over the chunks of this process, each when it is in the folder.

    Examples:
        >>> import fpdm, tempfile
        >>> pipe = fpdm.FPDMPipeline.digits()
        >>> pipe.set_progress_bar_config(disable=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [chunk.drawn for chunk in draw(pipe, folder, 10, batch_size=8, budget=12)]
        [8, 2]
    """
    check_whole("num", num, minimum=1)
    check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
    check_whole("batch_size", batch_size, minimum=1)
    check_whole("world", world, minimum=1)
    check_whole("rank", rank, minimum=0, maximum=world - 1)
    output_of("pil", pipe.sample_shape, vae=pipe.vae)
    wanted = asked(pipe, classes, condition)
    task = Task(pipe, seed, wanted, settings)
    record = describe(
        pipe, seed=seed, asked=wanted.record(), batch_size=batch_size, settings=settings
    )
    with _alone(Path(folder), rank):
        if not is_kept(record, Path(folder)):
            task.rehearse()
            keep(record, Path(folder))
    chunks = deal(num, batch_size=batch_size, rank=rank, world=world)
    return _draw_chunks(task, Path(folder), chunks, batch_size=batch_size, rank=rank)


def deal(num: int, *, batch_size: int, rank: int, world: int) -> Iterator[range]:
    """The chunks of a process, each as the numbers of its images; the last one may be short.

    Args:
        num: how many images there are.
        batch_size: images in a chunk.
        rank: which process this is, from 0.
        world: how many processes there are.

    Yields:
        The numbers of one chunk.

    Examples:
        >>> list(deal(10, batch_size=2, rank=1, world=3))
        [range(2, 4), range(8, 10)]
    """
    for first in range(rank * batch_size, num, world * batch_size):
        yield range(first, min(first + batch_size, num))


def generator_of(seed: int, number: int) -> torch.Generator:
    """The randomness of an image.

    Args:
        seed: of all images.
        number: of the image, from 0.
    """
    return torch.Generator().manual_seed(seed_of(seed, number))


def seed_of(seed: int, number: int) -> int:
    """The seed of the noise of an image.

    A generator begins in one of only 2^32 states, of which hashes would soon hit one twice. So the
    images of a seed take consecutive ones, from where the hash of the seed points.

    Args:
        seed: of all images.
        number: of the image, from 0.
    """
    start = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big")
    return (start + number) % STATES


@frozen(eq=False)
class Task:
    """How every image is drawn.

    Args:
        pipe: what draws.
        seed: of the noise.
        asked: what each image is to be.
        settings: of the pipeline's call.
    """

    pipe: FPDMPipeline
    seed: int
    asked: Asked
    settings: Mapping[str, Any]

    def draw(self, numbers: Sequence[int], **options: Any) -> FPDMOutput:
        """Draw the images of these numbers at once.

        Args:
            numbers: of the images, from 0.
            options: of the pipeline's call, beside the settings.

        Returns:
            As many images as numbers, and what each timestep cost.
        """
        generators = [generator_of(self.seed, i) for i in numbers]
        with told_elsewhere():  # by their places in the batch
            drawn = self.pipe(
                **self.asked.of(numbers), generator=generators, **self.settings, **options
            )
        return cast("FPDMOutput", drawn)

    def rehearse(self) -> None:
        """Take one image through one timestep, so that what is not allowed is said right away.

        Raises:
            BudgetError: the budget cannot be spent on the timesteps.
            InvalidValueError: a setting is not allowed.
            UnknownNameError: a component or a scheduler is not known.
        """

        def stop(pipe: FPDMPipeline, *_: Any) -> None:
            pipe._interrupt = True

        self.draw([0], callback_on_step_end=stop)


def _alone(folder: Path, rank: int) -> AbstractContextManager[None]:
    """A context in which process 0 of those that share the work keeps others out."""
    return in_use(folder, nested=True) if rank == 0 else nullcontext()


def _draw_chunks(
    task: Task, folder: Path, chunks: Iterator[range], *, batch_size: int, rank: int
) -> Iterator[Drawn]:
    with _alone(folder, rank):
        for chunk in chunks:
            yield _draw_chunk(task, folder, chunk, batch_size=batch_size)


def _draw_chunk(task: Task, folder: Path, chunk: range, *, batch_size: int) -> Drawn:
    missing = [i for i in chunk if not is_whole(numbered(folder, i))]
    if not missing:
        return Drawn(chunk, drawn=0, passes=None)
    out = task.draw(range(chunk.start, chunk.start + batch_size))
    broken = tuple(i for i in missing if i - chunk.start in out.broken)
    whole = [i for i in missing if i not in broken]
    write_images(
        [cast("Any", out.images[i - chunk.start]) for i in whole],
        [numbered(folder, i) for i in whole],
    )
    for i in broken:
        numbered(folder, i).unlink(missing_ok=True)  # which was not whole either
    warn_of_broken(broken, seeds=[seed_of(task.seed, i) for i in broken])
    return Drawn(chunk, drawn=len(whole), passes=out.average_passes, broken=broken)
