"""The noise levels of a run, and what DDIM makes of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpdm.errors import InvalidValueError

Spread = Callable[[int, int], NDArray[np.float64]]
"""Shares of noise before the shift, given how many, and the timesteps of the process."""


def in_equal(steps: int, train: int) -> NDArray[np.float64]:
    """In equal strides, of which the last ends without noise; (T,).

    Args:
        steps: how many.
        train: timesteps of the process; not looked at.

    Returns:
        (T,), float64.
    """
    del train
    return 1 - np.arange(steps) / steps


def to_the_last(steps: int, train: int) -> NDArray[np.float64]:
    """From pure noise to the last timestep of the process; (T,).

    Args:
        steps: how many.
        train: timesteps of the process.

    Returns:
        (T,), float64.
    """
    return np.linspace(1, 1 / train, steps)


def towards_none(steps: int, train: int) -> NDArray[np.float64]:
    """From pure noise to one before the last timestep of the process; (T,).

    Args:
        steps: how many.
        train: timesteps of the process.

    Returns:
        (T,), float64.
    """
    return np.linspace(1, 1 / train, steps + 1)[:-1]


def levels_of(
    steps: int | None,
    sigmas: Sequence[float] | None,
    timesteps: Sequence[float] | None,
    *,
    scheduler: Any,
    shift: float,
    even: Spread,
) -> NDArray[np.float64]:
    """The shares of noise in a run of flow matching; (T,), from 1 down.

    Args:
        steps: how many there are.
        sigmas: in place of a number, the shares before the shift.
        timesteps: in place of a number, what the network is told.
        scheduler: of diffusers.
        shift: `shift * t / (1 + (shift - 1) * t)` takes the place of t.
        even: how they are spread where a number is given.

    Raises:
        InvalidValueError: more than one of the three is given, or none.
    """
    if sum(given is not None for given in (steps, sigmas, timesteps)) != 1:
        raise InvalidValueError("num_inference_steps, sigmas, timesteps: give one of them.")
    train = scheduler.config.num_train_timesteps
    if timesteps is not None:
        return np.asarray(timesteps, dtype=np.float64) / train
    given = even(cast("int", steps), train) if sigmas is None else np.asarray(sigmas, np.float64)
    return shift * given / (1 + (shift - 1) * given)


class FlowLevels(ABC):
    """Spreads the timesteps of a flow, for the scheduler of diffusers that it stands before.

    Attributes:
        even: how they are spread where a number is given.
    """

    even: Spread

    @property
    @abstractmethod
    def time_shift(self) -> float:
        """`shift * t / (1 + (shift - 1) * t)` takes the place of t."""

    @abstractmethod
    def take(self, levels: NDArray[np.float64], device: str | torch.device | None) -> None:
        """Have a run step from level to level.

        Args:
            levels: shares of noise after the shift, from 1 down, (T,).
            device: where the timesteps go; None is the CPU.
        """

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Sequence[float] | None = None,
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """Spread the timesteps of a run.

        Args:
            num_inference_steps: how many, ≥ 1.
            device: where they go; None is the CPU.
            sigmas: in place of a number, the shares of noise before the shift, from 1 down.
            timesteps: in place of a number, what the network is told, from 1000 down.

        Raises:
            InvalidValueError: more than one of them is given, or none.
        """
        levels = levels_of(
            *(num_inference_steps, sigmas, timesteps),
            scheduler=self,
            shift=self.time_shift,
            even=self.even,
        )
        self.take(levels, device)

    def set_theirs(self, steps: int | None = None, **given: Any) -> None:
        """Spread the timesteps as the scheduler of diffusers does.

        Args:
            steps: how many; None where they are given.
            given: the other arguments of its `set_timesteps`.
        """
        cast("Any", super()).set_timesteps(steps, **given)


class FromPureNoise(FlowLevels):
    """Spreads a flow for a solver in log-SNR, from pure noise on, and tells the exact time.

    At pure noise the logarithm is infinite: the first share of noise is a millionth below.
    """

    even = staticmethod(towards_none)

    @property
    def time_shift(self) -> float:
        """That of the configuration."""
        return float(cast("Any", self).config.flow_shift)

    def take(self, levels: NDArray[np.float64], device: str | torch.device | None) -> None:
        """Have a run step from level to level, and tell the time of each."""
        own = cast("Any", self)
        levels[0] = min(levels[0], 1 - 1e-6)
        self.set_theirs(len(levels), device=device)
        last = own.sigmas[-1:] if own.config.final_sigmas_type == "zero" else levels[-1:]
        own.sigmas = torch.cat([torch.from_numpy(levels), torch.as_tensor(last)]).float()
        own.timesteps = torch.from_numpy(levels * own.config.num_train_timesteps).to(
            device, torch.float32
        )


def ancestral_weights(scheduler: Any, eta: float) -> tuple[Tensor, Tensor, Tensor]:
    """The steps of DDIM with noise: what multiplies the images, the clean images, and the noise.

    With α and σ of a timestep and α' and σ' of the next, the deviation of the noise is
    `η σ'/σ √(1 - (α/α')²)`. Source: Song, Meng and Ermon 2021, equations 12 and 16.

    Args:
        scheduler: a DDIM that counts in noise over signal, its timesteps set.
        eta: η, from 0 to 1.

    Returns:
        Three of (T,), float32.
    """
    alphas, sigmas = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas.cpu().double())
    kept = (alphas[:-1] / alphas[1:]) ** 2
    deviation = eta * sigmas[1:] / sigmas[:-1] * (1 - kept).clamp(min=0) ** 0.5
    of_x = (sigmas[1:] ** 2 - deviation**2).clamp(min=0) ** 0.5 / sigmas[:-1]
    of_clean = alphas[1:] - of_x * alphas[:-1]
    return of_x.float(), of_clean.float(), deviation.float()
