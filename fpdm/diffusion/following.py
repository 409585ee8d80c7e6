"""Going through a run: its last images, what its timesteps cost, and what is told meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, cast

from torch import Tensor


def follow(
    run: Generator[Any, Tensor | None, None],
    count: int,
    *,
    bar: Any,
    interrupt: Any,
    callback: Callable[..., Tensor] | None,
    news: Callable[[list[Any]], str],
) -> tuple[Tensor, list[Any]]:
    """Go through a run.

    Args:
        run: of [`fpdm.sample`][fpdm.sample]; what is sent into it are images, (B, C, …).
        count: of its timesteps.
        bar: of tqdm, which moves on with each.
        interrupt: `raised` once the run is to end after its timestep.
        callback: called with the index and timestep of each, `latents` and `residual`; it returns
            what takes the place of the images, (B, C, …).
        news: what the bar says, of the records until now; empty for nothing new.

    Returns:
        The last images, (B, C, …), and what is worth keeping of each timestep.
    """
    records: list[Any] = []
    replacement: Tensor | None = None
    while len(records) < count and not interrupt.raised:
        step = run.send(replacement)
        replacement = step.sample
        if callback is not None:
            replacement = callback(
                step.index, step.timestep, latents=step.sample, residual=step.residual
            )
        records.append(step.record())
        if said := news(records):
            bar.set_postfix_str(said)
        bar.update()
    return cast("Tensor", replacement), records


def news(records: list[Any], *, compiled: Any, budget: int | None) -> str:
    """What the bar says: how long compiling took, or what images have cost.

    Args:
        records: of the timesteps until now.
        compiled: what computes them, and tells its news; None for nothing.
        budget: block passes, where images stop on their own; else None.

    Returns:
        A few words; none if there is nothing new.
    """
    if budget is not None:
        return average(sum(step.average_passes for step in records), budget)
    return "" if compiled is None else compiled.news()


def average(passes: float, budget: int) -> str:
    """What an image costs, in words.

    Args:
        passes: of blocks, on average.
        budget: at most.

    Examples:
        >>> average(41.25, 60)
        'on average 41.2 of 60 passes'
    """
    return f"on average {passes:.1f} of {budget} passes"
