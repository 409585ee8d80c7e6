"""Timesteps, or noise levels, that a caller gives for a run in place of their number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from numpy.typing import NDArray

from fpdm.diffusion.clock import flows
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.runtime.signatures import takes

TAKEN_BY = {"timesteps": "'ddim'", "sigmas": "'euler'"}
"""A scheduler that takes them, whatever the process is; for flows it is `'euler'`."""

ALMOST = 0.01
"""Of a timestep, by which it may differ from what was asked for."""


def set_custom(scheduler: Any, steps: int | None, **given: Any) -> str:
    """Give a scheduler its timesteps, or its noise levels.

    Args:
        scheduler: of diffusers; it is changed.
        steps: how many there are said to be; None says nothing.
        given: `timesteps` or `sigmas`, in sampling order.

    Returns:
        What was given, for messages.

    Raises:
        InvalidValueError: both are given, they are no such numbers or not so many, or the scheduler
            does not take them.
    """
    if len(given) > 1:
        raise InvalidValueError("timesteps, sigmas: only one of them can be given.")
    ((kind, value),) = given.items()
    cls = type(scheduler).__name__
    if not takes_own(scheduler, kind):
        other = "'euler'" if flows(scheduler) else TAKEN_BY[kind]
        raise InvalidValueError(
            f"{kind}: {cls} does not take any of its own; leave them out, or use one that does, "
            f"such as scheduler={other}."
        )
    numbers = _numbers(kind, value)
    asked = f"{kind}={_shown(numbers)}"
    if steps is not None and steps != len(numbers):
        raise InvalidValueError(
            f"num_inference_steps={steps}: there are {len(numbers)} {kind}; leave one of them out."
        )
    if kind == "timesteps":
        _check_timesteps(numbers, scheduler, asked)
    elif flows(scheduler) and numbers[0] > 1:
        raise InvalidValueError(f"{asked}: must be from 1 down to 0 for {cls}.")
    elif numbers[-1] > 0 and not flows(scheduler):
        raise InvalidValueError(
            f"{asked}: the last one is what noise is left in the images; must be 0 for {cls}."
        )
    elif flows(scheduler) and numbers[-1] == 0:
        raise InvalidValueError(f"{asked}: {cls} adds the 0 at the end itself; leave it out.")
    with refusals(scheduler, asked):
        scheduler.set_timesteps(**_as_taken(scheduler, kind, numbers))
    if kind == "timesteps" and _rounds(scheduler, numbers):
        raise InvalidValueError(f"{asked}: must be whole numbers for {cls}.")
    return asked


def takes_own(scheduler: Any, kind: str) -> bool:
    """Whether a scheduler can be given any; the solvers of diffusers forget those of a flow.

    Args:
        scheduler: of diffusers.
        kind: `timesteps` or `sigmas`.
    """
    set_timesteps = scheduler.set_timesteps
    forgets = kind == "timesteps" and bool(scheduler.config.get("use_flow_sigmas"))
    if forgets and set_timesteps.__module__.startswith("diffusers."):
        return False
    return takes(set_timesteps, kind)


def _rounds(scheduler: Any, numbers: list[float]) -> bool:
    there = scheduler.timesteps.cpu().double().numpy()
    return any(abs(there - number).min() > ALMOST for number in numbers)


@contextmanager
def refusals(scheduler: Any, asked: str) -> Iterator[None]:
    """Where a scheduler refuses timesteps, say so in a sentence.

    Args:
        scheduler: of diffusers.
        asked: what is asked of it.

    Raises:
        InvalidValueError: it does.
    """
    try:
        yield
    except FPDMError:
        raise
    except (
        *(ValueError, TypeError, NotImplementedError, IndexError, ZeroDivisionError),
        AttributeError,
    ) as error:
        raise InvalidValueError(f"{asked}: {type(scheduler).__name__} refuses: {error}") from error


def _numbers(kind: str, value: Any) -> list[float]:
    try:
        given: NDArray[np.float64] = np.asarray(
            value.tolist() if hasattr(value, "tolist") else list(value), dtype=np.float64
        )
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.ndim != 1 or not given.size or not np.isfinite(given).all():
        raise InvalidValueError(f"{kind}={value!r}: must be a list of numbers.")
    numbers: list[float] = given.tolist()
    if not (np.diff(given) < 0).all() or given[-1] < 0:
        raise InvalidValueError(
            f"{kind}={_shown(numbers)}: must go down from noise to image, each below the one "
            f"before, and none below 0."
        )
    return numbers


def _check_timesteps(numbers: list[float], scheduler: Any, asked: str) -> None:
    train = scheduler.config.get("num_train_timesteps")
    flow = flows(scheduler)
    if train is not None and numbers[0] > (train if flow else train - 1):
        raise InvalidValueError(
            f"{asked}: must be from {train if flow else train - 1} down for "
            f"{type(scheduler).__name__}."
        )
    if flow and numbers[-1] == 0:
        raise InvalidValueError(
            f"{asked}: at timestep 0 of a flow there is no noise left; leave it out."
        )


def _as_taken(scheduler: Any, kind: str, numbers: list[float]) -> dict[str, Any]:
    """As arguments of the scheduler, in which a flow's timesteps and noise levels agree."""
    if kind == "timesteps":
        theirs = FlowMatchEulerDiscreteScheduler.set_timesteps
        shifts = getattr(type(scheduler), "set_timesteps", None) is theirs
        if shifts and not scheduler.config.use_dynamic_shifting:
            shift, train = scheduler.shift, scheduler.config.num_train_timesteps
            levels = [number / train for number in numbers]
            before = [level / (shift - (shift - 1) * level) for level in levels]
            return {"timesteps": numbers, "sigmas": before}
        whole = all(number.is_integer() for number in numbers)
        return {"timesteps": [int(number) for number in numbers] if whole else numbers}
    return {kind: numbers}


def _shown(numbers: list[float], most: int = 6) -> str:
    some = ", ".join(f"{number:g}" for number in numbers[:most])
    return f"[{some}, …]" if len(numbers) > most else f"[{some}]"
