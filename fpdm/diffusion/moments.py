"""The timesteps of a run as plain numbers: how noisy each of them is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from fpdm.diffusion.clock import flows, told_timesteps
from fpdm.solution import Moment


def moments(scheduler: Any, told: Tensor | None = None) -> tuple[Moment, ...]:
    """What is known of the timesteps of a run before it begins.

    Args:
        scheduler: of diffusers, its timesteps set.
        told: what a network is told at each of them, (T,), on the CPU; None asks the scheduler.

    Returns:
        One moment for each call of the network, noisiest first.
    """
    told = told_timesteps(scheduler) if told is None else told
    timesteps: list[float] = told.double().tolist()
    levels = log_snr(scheduler, timesteps)
    found: list[Moment] = []
    for index, (timestep, level) in enumerate(zip(timesteps, levels, strict=True)):
        before = found[-1] if found else None
        found.append(Moment(index, len(timesteps), timestep, level, before))
    return tuple(found)


def log_snr(scheduler: Any, timesteps: Sequence[float]) -> list[float | None]:
    """The log-SNR of the process at timesteps, `log(α² / σ²)`.

    Of flow matching it is `2 log((1 - t) / t)` with t the timestep over 1000; otherwise it is
    `log(ᾱ / (1 - ᾱ))`, with `ᾱ` between whole timesteps on a straight line. Source: Kingma et al.,
    Variational diffusion models, 2021; Lipman et al., Flow matching, 2023.

    Args:
        scheduler: of diffusers.
        timesteps: from 0 to its `num_train_timesteps`.

    Returns:
        One number for each timestep; None where the scheduler does not say.
    """
    if flows(scheduler):
        train = float(scheduler.config.num_train_timesteps)
        return [2 * _log_ratio(1 - t / train, t / train) for t in timesteps]
    table = getattr(scheduler, "alphas_cumprod", None)
    if table is None:
        return [None] * len(timesteps)
    signal = table.cpu().double().tolist()
    found = [_between(signal, t) for t in timesteps]
    return [_log_ratio(alpha, 1 - alpha) for alpha in found]


def _between(table: Sequence[float], at: float) -> float:
    """The value of a table at a place that may lie between two of its entries."""
    place = min(max(at, 0.0), len(table) - 1.0)
    low = int(place)
    high = min(low + 1, len(table) - 1)
    return table[low] + (place - low) * (table[high] - table[low])


def _log_ratio(signal: float, noise: float) -> float:
    if signal <= 0:
        return -math.inf
    return math.log(signal / noise) if noise > 0 else math.inf
