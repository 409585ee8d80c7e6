"""What a run cost, as a row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fpdm.cli import console

RUN_COLUMNS = ("block\npasses", "timesteps", "iterations", "residual", "seconds")


def run_summary(steps: Sequence[Any], seconds: float) -> tuple[str, ...]:
    """The cells of a run: block passes, timesteps, iterations, mean final residual, seconds.

    Passes are of an image on average; iterations are the most that one took.

    Args:
        steps: the records of the run.
        seconds: that it took.
    """
    import torch

    residuals = [step.residual.mean() for step in steps if step.residual is not None]
    residual = f"{torch.stack(residuals).mean():.4f}" if residuals else "–"
    return (
        passes_of(sum(step.average_passes for step in steps)),
        str(len(steps)),
        str(sum(step.iterations for step in steps)),
        residual,
        f"{seconds:.1f}",
    )


def passes_of(number: float) -> str:
    """Block passes as they are printed: with a digit behind the point where they are an average.

    Args:
        number: of an image.

    Returns:
        How it stands in a table.
    """
    return f"{number:.1f}" if number % 1 else f"{number:.0f}"


def note_average(steps: Sequence[Any], budget: int) -> None:
    """Say what images cost on average, if they stopped on their own.

    Args:
        steps: the records of a run.
        budget: at most.
    """
    from fpdm.diffusion.following import average

    if any(step.counts is not None for step in steps):
        console.note(f"{average(sum(step.average_passes for step in steps), budget)}.")


def together(records: Sequence[Sequence[Any]]) -> list[Any]:
    """The records of the first of some runs, with the residuals and counts of all.

    Args:
        records: of each run, one for each timestep.
    """
    import torch
    from attrs import evolve

    found = []
    for first, *others in zip(*records, strict=True):
        step = first
        if first.residual is not None:
            residuals = [each.residual for each in (first, *others)]
            step = evolve(step, residual=torch.cat(residuals))
        if first.counts is not None:
            counts = torch.cat([each.counts for each in (first, *others)])
            most = int(counts.max())
            more = most - first.iterations
            step = evolve(step, counts=counts, iterations=most, passes=first.passes + more)
        found.append(step)
    return found
