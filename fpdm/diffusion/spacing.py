"""Where the timesteps of a run lie between noise and image.

A budget buys so many timesteps, and where they lie decides what they are worth: close to the image
a solution bends more, so that is where most of them should be. Of a few of them it buys more than
solver, allocation and start together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from fpdm.checks import check_whole
from fpdm.errors import InvalidValueError

TRAIN_TIMESTEPS = 1000
LINEAR, QUADRATIC, LATE, LOG_SNR = "linear", "quadratic", "late", "log-snr"
POWERS = {LINEAR: 1.0, QUADRATIC: 2.0, LATE: 1.5}
SHORT = 1 / 3
"""Of a stride, by which `late` ends before the image."""
SPACINGS = (*POWERS, LOG_SNR)

Spacing = str | float
"""One of `SPACINGS`, or the power p of `t = (1 - u)^p` with u in equal strides from 0 to 1."""


def even_timesteps(steps: int, train_timesteps: int = TRAIN_TIMESTEPS) -> list[int]:
    """The timesteps of a run, noisiest first: `round(i * (train_timesteps - 1) / (steps - 1))`.

    Source: the respacing of Nichol and Dhariwal 2021.

    Args:
        steps: how many, ≥ 1; one alone is the noisiest.
        train_timesteps: of the process.

    Raises:
        InvalidValueError: `steps` is not from 1 to `train_timesteps`.

    Examples:
        >>> even_timesteps(4)
        [999, 666, 333, 0]
    """
    check_whole("num_inference_steps", steps, minimum=1, maximum=train_timesteps)
    last = train_timesteps - 1
    if steps == 1:
        return [last]
    return [round(i * last / (steps - 1)) for i in reversed(range(steps))]


def check_spacing(spacing: Any) -> None:
    """Check a spacing.

    Args:
        spacing: what stands in the place of one.

    Raises:
        InvalidValueError: it is none.
    """
    named = isinstance(spacing, str) and spacing in SPACINGS
    power = isinstance(spacing, (int, float)) and not isinstance(spacing, bool)
    if not named and not (power and 0.1 <= spacing <= 10):
        raise InvalidValueError(
            f"spacing={spacing!r}: must be 'linear', 'quadratic', 'late', 'log-snr', or a power "
            f"from 0.1 to 10."
        )


def spaced_timesteps(spacing: Spacing, steps: int, signal: NDArray[np.float64]) -> list[int]:
    """The timesteps of a run, noisiest first, from the last of the process on.

    `linear` are those of [`even_timesteps`][fpdm.diffusion.even_timesteps]; `quadratic`, and any
    power p, `(T - 1) (1 - u)^p` with u in equal strides from 0 to 1 (Song, Meng and Ermon 2021 have
    the quadratic one). `late` are those of the power 1.5, but end a third of a stride before the
    image, where a timestep would change nothing that the last step does not. `log-snr` lie at equal
    strides of `log(ᾱ / (1 - ᾱ))`, as Lu et al. (DPM-Solver, 2022) have them. All are rounded, and
    where two would be one, moved apart.

    Args:
        spacing: by name, or as a power.
        steps: how many, ≥ 1; one alone is the noisiest.
        signal: ᾱ of all timesteps of the process, (T,).

    Raises:
        InvalidValueError: there is no such spacing, or `steps` is not from 1 to T.

    Examples:
        >>> spaced_timesteps("quadratic", 4, np.linspace(0.9999, 0.00004, 1000))
        [999, 444, 111, 0]
    """
    check_spacing(spacing)
    if spacing in (LINEAR, 1):
        return even_timesteps(steps, len(signal))
    last = len(signal) - 1
    check_whole("num_inference_steps", steps, minimum=1, maximum=len(signal))
    end = 1 - SHORT / steps if spacing == LATE else 1.0
    left = 1 - end * np.arange(steps) / max(steps - 1, 1)
    if spacing == LOG_SNR:
        levels = _log_ratio(signal)
        wanted = levels[0] + left * (levels[last] - levels[0])
        places = np.interp(-wanted, -levels, np.arange(last + 1))
    else:
        places = last * left ** _power(spacing)
    return _apart(places.round().astype(int), last)


def spaced_levels(spacing: Spacing, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares of noise of a flow, from shares in equal strides.

    Args:
        spacing: by name, or as a power.
        levels: in equal strides from 1 down, none 0, (T,).

    Returns:
        (T,), from 1 down, none 0. Of `log-snr` those after the first lie at equal strides of
        `log((1 - t) / t)`, from one timestep of 1000 after it to one before the image.

    Raises:
        InvalidValueError: there is no such spacing.
    """
    check_spacing(spacing)
    if spacing != LOG_SNR:
        return levels ** _power(spacing)
    most = np.log(TRAIN_TIMESTEPS - 1)
    rest = 1 / (1 + np.exp(np.linspace(-most, most, len(levels))))
    return np.concatenate([levels[:1], rest[1:]])


class SpacedTimesteps:
    """Spreads the timesteps of a run as the `spacing` of its configuration says.

    Attributes:
        usual_spacing: where they lie if it does not say.
    """

    usual_spacing: ClassVar[Spacing]

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        """Spread the timesteps of a run.

        Args:
            num_inference_steps: how many, ≥ 1.
            device: where they go; None is the CPU.
            timesteps: in place of a number, all of them, noisiest first.

        Raises:
            InvalidValueError: the process has not so many, or both are given.
        """
        own = cast("Any", self)
        if timesteps is None:
            timesteps = spaced_timesteps(
                own.config.get("spacing") or self.usual_spacing,
                cast("int", num_inference_steps),
                signal_of(own),
            )
        elif num_inference_steps is not None:
            raise InvalidValueError("num_inference_steps, timesteps: give one of them.")
        cast("Any", super()).set_timesteps(timesteps=timesteps, device=device)


def signal_of(scheduler: Any) -> NDArray[np.float64]:
    """ᾱ of all timesteps of a process.

    Args:
        scheduler: of diffusers.

    Returns:
        (T,), float64.
    """
    return cast("NDArray[np.float64]", scheduler.alphas_cumprod.cpu().double().numpy())


def _power(spacing: Spacing) -> float:
    return POWERS[spacing] if isinstance(spacing, str) else float(spacing)


def _log_ratio(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = signal.clip(1e-12, 1 - 1e-12)
    return np.log(kept) - np.log1p(-kept)


def _apart(places: NDArray[Any], last: int) -> list[int]:
    """Move whole places, which go down from `last`, so far that none is there twice."""
    found: list[int] = places.tolist()
    for i in range(len(found) - 2, -1, -1):
        found[i] = max(found[i], found[i + 1] + 1)
    found[0] = last
    for i in range(1, len(found)):
        found[i] = min(found[i], found[i - 1] - 1)
    return found
