"""`fpdm sample` into a folder: many images, by one process or several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fpdm.cli import console
from fpdm.cli.summary import passes_of

if TYPE_CHECKING:
    from accelerate import PartialState

    from fpdm.drawing import Drawn

COLUMNS = ("images\ndrawn", "there\nbefore", "block passes\nper image", "images/s")


@frozen
class Folder:
    """A folder to fill, and how.

    Attributes:
        path: of the folder.
        num: images in it.
        batch_size: images drawn at once.
        npz: whether to write them into an archive too.
    """

    path: Path
    num: int
    batch_size: int
    npz: bool


def fill(folder: Folder, pipe: Any, **options: Any) -> bool:
    """Fill the folder together with the other processes; process 0 shows how far it is.

    Args:
        folder: what to fill.
        pipe: what draws.
        options: of [`draw`][fpdm.drawing.draw].

    Returns:
        Whether all images are there now.
    """
    from fpdm.runtime.locks import in_use_together
    from fpdm.runtime.processes import processes

    here = processes()
    pipe.set_progress_bar_config(disable=True)  # it counts timesteps
    with in_use_together(folder.path, here):
        whole = _fill(folder, pipe, here, options)
    here.destroy_process_group()
    return whole


def _fill(folder: Folder, pipe: Any, here: PartialState, options: dict[str, Any]) -> bool:
    from fpdm.drawing import draw

    rank, world = here.process_index, here.num_processes
    with _first_alone(here):
        chunks = draw(
            pipe,
            folder.path,
            folder.num,
            batch_size=folder.batch_size,
            rank=rank,
            world=world,
            **options,
        )
    began = time.perf_counter()
    try:
        told = list(_shown(chunks, folder, rank=rank, world=world))
    except KeyboardInterrupt:
        if here.is_main_process:
            console.note(f"{folder.path} keeps what is drawn; the same command goes on with it.")
        raise
    told = _of_all(told, here)
    if here.is_main_process:
        note_compiling(pipe)
        _finish(folder, told, time.perf_counter() - began)
    return not any(chunk.broken for chunk in told)


def note_compiling(pipe: Any) -> None:
    """Say how long compiling took, if anything was compiled.

    Args:
        pipe: what has drawn.
    """
    if pipe.compiled is not None:
        console.note(f"compiling took {pipe.compiled.seconds:.1f} s.")


@contextmanager
def _first_alone(here: PartialState) -> Iterator[None]:
    """Let process 0 go first; if it fails, the others find the same mistake for themselves."""
    from fpdm.runtime.processes import wait

    if not here.is_main_process:
        wait(here)
    try:
        yield
    finally:
        if here.is_main_process:
            wait(here)


def _shown(chunks: Iterator[Drawn], folder: Folder, *, rank: int, world: int) -> Iterator[Drawn]:
    """Pass chunks on, under a progress bar for the share of process 0."""
    from fpdm.cli import progress
    from fpdm.drawing import deal

    share = deal(folder.num, batch_size=folder.batch_size, rank=rank, world=world)
    name = folder.path.name if world == 1 else f"{folder.path.name}, process 1 of {world}"
    total = sum(map(len, share))
    with progress.bar(total=total, desc=name, unit="image", disable=rank > 0) as bar:
        for chunk in chunks:
            bar.update(len(chunk.numbers))
            yield chunk


def _of_all(told: list[Drawn], here: PartialState) -> list[Drawn]:
    """The chunks of all processes, once each of them is done."""
    from accelerate.utils import gather_object

    from fpdm.runtime.processes import wait

    wait(here)
    return list(gather_object(told))


def _finish(folder: Folder, told: Sequence[Drawn], seconds: float) -> None:
    from fpdm.drawing.archive import archive
    from fpdm.runtime.storage import clear_temporary

    clear_temporary(folder.path)
    console.table("Drawing", COLUMNS, [_summary(told, seconds)])
    broken = sum(len(chunk.broken) for chunk in told)
    if broken:
        console.say(
            f"{folder.path} holds {folder.num - broken} of {folder.num} images: the others are not "
            f"finite, and not written. The same command draws them again."
        )
    else:
        console.say(f"{folder.path} holds {folder.num} images.")
    if folder.npz and broken:
        console.say("Wrote no archive, which would not be whole.")
    elif folder.npz:
        console.say(f"Wrote them to {archive(folder.path, folder.num)}, as arr_0.")


def _summary(told: Sequence[Drawn], seconds: float) -> tuple[str, ...]:
    """The cells of a run: images drawn, images there before, block passes, images per second."""
    drawn = sum(chunk.drawn for chunk in told)
    there = sum(len(chunk.numbers) - len(chunk.broken) for chunk in told) - drawn
    new = [chunk for chunk in told if chunk.passes is not None]
    cost = sum((chunk.passes or 0) * len(chunk.numbers) for chunk in new)
    passes = cost / max(1, sum(len(chunk.numbers) for chunk in new))
    return (
        str(drawn),
        str(there),
        passes_of(passes) if new else "–",
        f"{drawn / seconds:.1f}" if drawn else "–",
    )
