"""A run rehearsed on data for which the best network is known, before it is made.

Of pixels that are normal with mean 0 and deviation s, what the best network predicts is linear in
the images, and a sound run ends with a deviation near s, or below it where steps are few. A solver
of higher order whose steps are too long overshoots instead: it ends with many times s, and draws
garbage with any network.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from fpdm.diffusion.clock import flows
from fpdm.diffusion.likeness import likeness
from fpdm.diffusion.samplers import FLOW, NEGATIVE_FLOW, prediction_of
from fpdm.errors import FPDMError
from fpdm.runtime.remembered import Remembered

SPREADS = (0.2, 1.0)
"""Deviations of the data that are tried: of dark pixels, and of scaled latents."""

DRAWS = 64
"""Images of each, where a scheduler draws noise."""

MOST = 2.0
"""Times the deviation of the data, beyond which a run is garbage."""

STEEPEST = 4.0
"""What a sound table multiplies images with at most, from one timestep to the next."""

LONGEST = 64
"""Calls of the network, above which no scheduler overshoots."""

KEPT = 64
"""Verdicts that are kept."""

Make = Callable[[Any, torch.Generator], Any]
"""The steps of a scheduler whose timesteps are set, given where its noise comes from."""


@frozen
class Verdict:
    """What a rehearsal has found.

    Attributes:
        excess: how many times too much contrast, at worst; None where nobody knows.
        least: the least number of steps that are sound, where these are not; None if none are.
    """

    excess: float | None
    least: int | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is to be said of the run."""
        return self.excess is None or self.excess <= MOST


_VERDICTS: Remembered[Verdict] = Remembered(most=KEPT)


def warn_of_overshooting(
    scheduler: Any, calls: int, make: Make, *, eta: float | None = None
) -> None:
    """Warn of a run in which a scheduler's own steps are too long for it.

    It is rehearsed when one like it is first made.

    Args:
        scheduler: of diffusers, its timesteps set; it is not changed.
        calls: of the network in that run.
        make: makes the steps of a copy.
        eta: of the noise of ancestral sampling, as it is made with.

    Warns:
        UserWarning: it would draw garbage; the message says what to use.
    """
    if calls > LONGEST:
        return
    like = likeness(scheduler)
    asked = None if like is None else (like, eta)
    verdict = _VERDICTS.of(asked, lambda: judge(scheduler, make))
    if verdict.sound:
        return
    least = verdict.least
    advice = "" if least is None else f"num_inference_steps ≥ {least}, or "
    warnings.warn(
        f"{type(scheduler).__name__} overshoots in {calls} timesteps, and draws images of "
        f"{verdict.excess:.1f} times the contrast that they should have; use {advice}another "
        f"scheduler, such as scheduler={'euler' if flows(scheduler) else 'dpm++'!r}.",
        UserWarning,
        stacklevel=4,
    )


def warn_of_steepness(scheduler: Any, steepness: float) -> None:
    """Warn of a table that multiplies what the network says, and its errors, too much.

    Args:
        scheduler: of diffusers.
        steepness: its largest coefficient.

    Warns:
        UserWarning: it does; the message says what to use.
    """
    if steepness > STEEPEST:
        warnings.warn(
            f"{type(scheduler).__name__}: one of these timesteps is followed by a far longer step "
            f"than it follows, where errors of the network are multiplied by {steepness:.0f}; "
            f"spread them more evenly, or use a scheduler of first order, such as "
            f"scheduler={'euler' if flows(scheduler) else 'ddim'!r}.",
            UserWarning,
            stacklevel=4,
        )


def judge(scheduler: Any, make: Make) -> Verdict:
    """Rehearse a run, and where it is not sound look for one that is.

    Args:
        scheduler: of diffusers, its timesteps set; it is not changed.
        make: makes the steps of a copy.

    Returns:
        What it found.
    """
    verdict = Verdict(excess(scheduler, make))
    return verdict if verdict.sound else evolve(verdict, least=soundest(scheduler, make))


def excess(scheduler: Any, make: Make) -> float | None:
    """How many times the deviation of the data that of the images is, at worst.

    Args:
        scheduler: of diffusers, its timesteps set; it is not changed.
        make: makes its steps.

    Returns:
        A number, infinity where they are not finite; None where the scheduler does not say what it
        expects, or cannot be rehearsed.
    """
    predicted = prediction_of(scheduler)
    rng = torch.Generator().manual_seed(0)
    if not scheduler.timesteps.isfinite().all():
        return math.inf
    try:
        taken = make(scheduler, rng)
    except FPDMError:
        return None
    levels = [_shares(scheduler, moment.timestep, moment.log_snr) for moment in taken.moments]
    if predicted is None or None in levels:
        return None
    spreads = torch.tensor(SPREADS).repeat_interleave(DRAWS).view(-1, 1, 1, 1)
    noise = torch.randn(DRAWS, 1, 1, 1, generator=rng)
    noise = ((noise - noise.mean()) / noise.std()).repeat(len(SPREADS), 1, 1, 1)
    x = noise * float(getattr(scheduler, "init_noise_sigma", 1.0))
    for index, level in enumerate(levels):
        scaled = taken.scale(x, index)
        prediction = _best(predicted, scaled, level or (0.0, 1.0), spreads)
        try:
            x = taken.step(prediction, torch.zeros_like(x), index, x)
        except (FPDMError, ValueError):  # of NaN in the middle, or of what it cannot take
            return None if x.isfinite().all() else math.inf
    found = (x.view(len(SPREADS), DRAWS).std(dim=1) / torch.tensor(SPREADS)).max()
    return float(found) if found.isfinite() else math.inf


def soundest(scheduler: Any, make: Make) -> int | None:
    """The least number of steps in which a scheduler is sound; more of them are sounder.

    Args:
        scheduler: of diffusers; it is not changed.
        make: makes the steps of a copy.

    Returns:
        A number; None if there is none up to 64.
    """
    for steps in range(2, LONGEST + 1):
        own = deepcopy(scheduler)
        try:
            own.set_timesteps(steps)
        except Exception:  # whatever it refuses with, it is no sound number
            continue
        found = excess(own, make)
        if found is not None and found <= MOST:
            return steps
    return None


def _shares(scheduler: Any, timestep: float, log_snr: float | None) -> tuple[float, float] | None:
    """How much of the clean image, and of the noise, there is at a timestep."""
    if flows(scheduler):
        noisy = timestep / scheduler.config.num_train_timesteps
        return 1 - noisy, noisy
    if log_snr is None:
        return None
    clean = 1 / (1 + math.exp(-log_snr)) if log_snr > -700 else 0.0
    return math.sqrt(clean), math.sqrt(1 - clean)


def _best(kind: str, x: Tensor, shares: tuple[float, float], spreads: Tensor) -> Tensor:
    """The best prediction, given the images in the scale of the network, (B, 1, 1, 1)."""
    of_clean, of_noise = shares
    variance = (of_clean * spreads) ** 2 + of_noise**2
    clean, noise = of_clean * spreads**2 / variance * x, of_noise / variance * x
    return {
        "epsilon": noise,
        "sample": clean,
        "v_prediction": of_clean * noise - of_noise * clean,
        FLOW: clean - noise,
        NEGATIVE_FLOW: noise - clean,
    }[kind]
