"""`fpdm sample` into a file of numbers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpdm.cli import console
from fpdm.cli.many import note_compiling
from fpdm.cli.summary import RUN_COLUMNS, note_average, run_summary, together

if TYPE_CHECKING:
    from fpdm.drawing.asked import Asked


def fill(
    out: Path,
    pipe: Any,
    asked: Asked,
    count: int,
    *,
    seed: int,
    batch_size: int,
    **settings: Any,
) -> bool:
    """Draw samples into one file, say what they cost, and whether all are finite.

    Args:
        out: the `.npz` to write.
        pipe: what draws.
        asked: what each is to be.
        count: how many.
        seed: of the noise.
        batch_size: how many are drawn at once.
        settings: of the pipeline's call.

    Returns:
        Whether all samples are finite.
    """
    from fpdm.cli import progress
    from fpdm.drawing.arrays import draw_parts, write_arrays

    pipe.set_progress_bar_config(disable=True)  # it counts timesteps
    began, parts = time.perf_counter(), []
    with progress.bar(total=count, desc=out.name, unit="sample") as bar:
        for part in draw_parts(pipe, asked, count, seed=seed, batch_size=batch_size, **settings):
            parts.append(part)
            bar.update(len(part.samples))
    note_compiling(pipe)
    write_arrays(parts, out)
    steps = together([part.steps for part in parts])
    console.table("Sampling", RUN_COLUMNS, [run_summary(steps, time.perf_counter() - began)])
    note_average(steps, settings["budget"])
    broken = sum(part.broken for part in parts)
    shape = " × ".join(map(str, parts[0].samples.shape[1:]))
    console.say(f"Wrote {count} samples of {shape} to {out}.")
    if broken:
        console.say(f"{broken} of them are not finite, and NaN there.")
    return not broken
