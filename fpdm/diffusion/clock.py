"""The time that a network is told at each timestep of a run.

Some schedulers step between the noise levels of a finer schedule, and round the timesteps that
belong to them to whole ones. A network that is told those is told of another noise than there is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TOLERANCE = 1e-3
"""Of a timestep, below which it counts as exact: what float32 leaves of a thousand."""


def flows(scheduler: Any) -> bool:
    """Whether the process is a straight line from the image to the noise.

    Args:
        scheduler: of diffusers.
    """
    named = any("FlowMatch" in base.__name__ for base in type(scheduler).__mro__)
    return named or bool(scheduler.config.get("use_flow_sigmas"))


def told_timesteps(scheduler: Any) -> Tensor:
    """What a network is told at each timestep: those of the scheduler, but not rounded.

    Where a scheduler has rounded a timestep, the one of its noise level takes its place: 1000 σ of
    flow matching, and otherwise where the process has the noise level σ, on a straight line in
    log σ between whole timesteps.

    Args:
        scheduler: of diffusers, its timesteps set.

    Returns:
        (T,), on the CPU; the very numbers of the scheduler where they are exact.
    """
    timesteps: Tensor = scheduler.timesteps.cpu()
    exact = _of_noise_levels(scheduler, len(timesteps))
    if exact is None:
        return timesteps
    there = timesteps.numpy().astype(np.float64)
    apart = abs(exact - there)
    rounded = (there == there.round()) & (apart > TOLERANCE) & (apart < 1 + TOLERANCE)
    if not rounded.any():
        return timesteps
    return torch.from_numpy(np.where(rounded, exact, there).astype(np.float32))


def _of_noise_levels(scheduler: Any, count: int) -> NDArray[np.float64] | None:
    """The time of each noise level; (T,). None where the scheduler does not go by them."""
    sigmas = getattr(scheduler, "sigmas", None)
    if not isinstance(sigmas, Tensor) or len(sigmas) < count:
        return None
    levels = sigmas.cpu().numpy().astype(np.float64)[:count]
    if flows(scheduler):  # those that are made for flows do not round
        rounds = scheduler.config.get("use_flow_sigmas")
        return levels * scheduler.config.num_train_timesteps if rounds else None
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if alphas is None or not (levels > 0).all():
        return None
    alphas = alphas.cpu().numpy().astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = 0.5 * (np.log1p(-alphas) - np.log(alphas))
    if not (np.diff(table) > 0).all():
        return None
    return np.interp(np.log(levels), table, np.arange(len(table)))
