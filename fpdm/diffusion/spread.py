"""The timesteps of a run and its budget, where either is left open."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from fpdm.checks import check_whole
from fpdm.diffusion.clock import flows
from fpdm.diffusion.custom import TAKEN_BY, refusals, set_custom, takes_own
from fpdm.diffusion.levels import in_equal
from fpdm.diffusion.spacing import (
    Spacing,
    check_spacing,
    signal_of,
    spaced_levels,
    spaced_timesteps,
)
from fpdm.errors import InvalidValueError

STEPS = 50
"""Timesteps where neither they nor a budget are given."""
ITERATIONS = 2
"""Iterations per timestep where a budget is given without a number of timesteps."""


def spread(
    scheduler: Any,
    network: Any,
    *,
    budget: int | None,
    steps: int | None,
    spacing: Spacing | None = None,
    **custom: Any,
) -> int:
    """Set the timesteps of a run, and settle its budget.

    Args:
        scheduler: of diffusers; it is changed.
        network: that it calls.
        budget: block passes for the run; None is the network's own number of iterations at each
            timestep.
        steps: timesteps; None makes as many as leave two iterations each, or 50 without a budget.
        spacing: where they lie; None leaves it to the scheduler.
        custom: `timesteps` or `sigmas`, all of them in sampling order, in place of a number; None
            is as if it were left out.

    Returns:
        The budget.

    Raises:
        InvalidValueError: the timesteps are not allowed, or the budget is no whole number.
    """
    layer = getattr(network, "layer", None)
    explicit = network.pre_passes + network.post_passes
    listed = [name for name, given in custom.items() if given is not None]
    if spacing is not None and listed:
        raise InvalidValueError(f"spacing, {listed[0]}: give one of them.")
    if steps is not None or listed or budget is None:
        steps = STEPS if steps is None and not listed else steps
        set_timesteps(scheduler, steps, spacing=spacing, **custom)
    else:
        passes = explicit + ITERATIONS * bool(layer)
        calls = check_whole("budget", budget, minimum=1) // passes
        set_timesteps_within(scheduler, calls, spacing=spacing)
    if budget is None:
        return len(scheduler.timesteps) * (explicit + (layer.evals if layer else 0))
    return budget


def set_timesteps(
    scheduler: Any, steps: int | None = None, *, spacing: Spacing | None = None, **custom: Any
) -> None:
    """Spread the timesteps of a run over the process of a scheduler.

    Args:
        scheduler: of diffusers; it is changed.
        steps: timesteps that are asked for; a scheduler of higher order has more.
        spacing: where they lie; None leaves it to the scheduler.
        custom: `timesteps` or `sigmas`, all of them in sampling order, in place of a number; None
            is as if it were left out.

    Raises:
        InvalidValueError: the process has not so many timesteps, the scheduler refuses, what is
            given is no such list, or what is spread is no run from noise to image.
    """
    most = scheduler.config.get("num_train_timesteps")
    given = {name: value for name, value in custom.items() if value is not None}
    if given:
        asked = set_custom(scheduler, steps, **given)
    else:
        asked = f"num_inference_steps={steps}"
        check_whole("num_inference_steps", steps, minimum=1, maximum=most)
        _spread(scheduler, cast("int", steps), spacing)
    if _repeats(scheduler):
        raise InvalidValueError(
            f"{asked}: {type(scheduler).__name__} repeats a timestep; use fewer."
        )
    if not np.isfinite(_timesteps(scheduler)).all():
        raise InvalidValueError(
            f"{asked}: {type(scheduler).__name__} makes timesteps of it that are not finite; use "
            f"{'others' if given else 'more'}."
        )
    first = float(_timesteps(scheduler)[0])
    if most is not None and first < most / 2:
        raise InvalidValueError(
            f"{asked}: {type(scheduler).__name__} begins at timestep {first:g} of {most}, which is "
            f"not the noise; use {'others' if given else 'more, or another scheduler'}."
        )


def set_timesteps_within(scheduler: Any, calls: int, *, spacing: Spacing | None = None) -> None:
    """Spread as many timesteps as call the network `calls` times, or fewer, but at least one.

    Args:
        scheduler: of diffusers; it is changed.
        calls: how often the network may be called.
        spacing: where the timesteps lie; None leaves it to the scheduler.

    Raises:
        InvalidValueError: as of `set_timesteps`.
    """
    steps = max(1, -(-calls // int(getattr(scheduler, "order", 1))))
    steps = min(steps, scheduler.config.get("num_train_timesteps") or steps)
    _spread(scheduler, steps, spacing)
    while steps > 1 and (len(scheduler.timesteps) > calls or _repeats(scheduler)):
        steps -= 1
        _spread(scheduler, steps, spacing)
    set_timesteps(scheduler, steps, spacing=spacing)


def _spread(scheduler: Any, steps: int, spacing: Spacing | None) -> None:
    with refusals(scheduler, f"num_inference_steps={steps}"):
        if spacing is None:
            scheduler.set_timesteps(steps)
        else:
            set_custom(scheduler, None, **_spaced(scheduler, steps, spacing))


def _spaced(scheduler: Any, steps: int, spacing: Spacing) -> dict[str, Any]:
    """The timesteps of a spacing, or the noise levels of a flow, as the scheduler takes them."""
    check_spacing(spacing)
    kind = "sigmas" if flows(scheduler) else "timesteps"
    known = kind == "sigmas" or getattr(scheduler, "alphas_cumprod", None) is not None
    if not (known and takes_own(scheduler, kind)):
        raise InvalidValueError(
            f"spacing={spacing!r}: {type(scheduler).__name__} takes no timesteps but its own; "
            f"leave it out, or use one that does, such as scheduler={TAKEN_BY[kind]}."
        )
    if kind == "sigmas":
        even = getattr(scheduler, "even", in_equal)(steps, scheduler.config.num_train_timesteps)
        return {kind: spaced_levels(spacing, even).tolist()}
    return {kind: spaced_timesteps(spacing, steps, signal_of(scheduler))}


def _repeats(scheduler: Any) -> bool:
    """Whether a multistep solver steps from a noise level to itself, where it makes NaN."""
    if not isinstance(scheduler, (DPMSolverMultistepScheduler, UniPCMultistepScheduler)):
        return False
    levels = scheduler.sigmas[: len(scheduler.timesteps)].cpu().numpy()
    return len(np.unique(levels)) < len(levels)


def _timesteps(scheduler: Any) -> Any:
    """The timesteps of a run as an array: where they lie on the CPU, nothing is waited for."""
    return scheduler.timesteps.cpu().numpy()
