"""The timesteps of a run and its budget, where either is left open."""

from __future__ import annotations

from typing import Any

from fpdm.checks import check_whole
from fpdm.diffusion import samplers

STEPS = 50
"""Timesteps where neither they nor a budget are given."""
ITERATIONS = 2
"""Iterations per timestep where a budget is given without a number of timesteps."""


def spread(
    scheduler: Any, network: Any, *, budget: int | None, steps: int | None, **custom: Any
) -> int:
    """Set the timesteps of a run, and settle its budget.

    Args:
        scheduler: of diffusers; it is changed.
        network: that it calls.
        budget: block passes for the run; None is the network's own number of iterations at each
            timestep.
        steps: timesteps; None makes as many as leave two iterations each, or 50 without a budget.
        custom: `timesteps` or `sigmas`, all of them in sampling order, in place of a number; None
            is as if it were left out.

    Returns:
        The budget.

    Raises:
        InvalidValueError: the timesteps are not allowed, or the budget is no whole number.
    """
    layer = getattr(network, "layer", None)
    explicit = network.pre_passes + network.post_passes
    chosen = steps is not None or any(given is not None for given in custom.values())
    if chosen or budget is None:
        samplers.set_timesteps(scheduler, steps if chosen else STEPS, **custom)
    else:
        passes = explicit + ITERATIONS * bool(layer)
        calls = check_whole("budget", budget, minimum=1) // passes
        samplers.set_timesteps_within(scheduler, calls)
    if budget is None:
        return len(scheduler.timesteps) * (explicit + (layer.evals if layer else 0))
    return budget
