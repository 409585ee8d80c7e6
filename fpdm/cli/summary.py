"""What a run cost, as a row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

RUN_COLUMNS = ("block\npasses", "timesteps", "iterations", "residual", "seconds")


def run_summary(steps: Sequence[Any], seconds: float) -> tuple[str, ...]:
    """The cells of a run: block passes, timesteps, iterations, mean final residual, seconds.

    Args:
        steps: the records of the run.
        seconds: that it took.
    """
    import torch

    residuals = [step.residual.mean() for step in steps if step.residual is not None]
    residual = f"{torch.stack(residuals).mean():.4f}" if residuals else "–"
    return (
        str(sum(step.passes for step in steps)),
        str(len(steps)),
        str(sum(step.iterations for step in steps)),
        residual,
        f"{seconds:.1f}",
    )


def together(records: Sequence[Sequence[Any]]) -> list[Any]:
    """The records of the first of some runs, with the residuals of all.

    Args:
        records: of each run, one for each timestep.
    """
    import torch
    from attrs import evolve

    return [
        each[0]
        if each[0].residual is None
        else evolve(each[0], residual=torch.cat([step.residual for step in each]))
        for each in zip(*records, strict=True)
    ]
