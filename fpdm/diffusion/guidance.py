"""Classifier-free guidance: how much of it, of which channels, and when."""

from __future__ import annotations

from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import check_real, check_whole
from fpdm.errors import InvalidValueError

LARGEST = torch.finfo(torch.float32).max
ROUNDING = 1e-9
"""Steps by which a fraction of the run may be off in floating point."""


def _check_scale(_: Any, __: Any, value: Any) -> None:
    check_real("guidance_scale", value, minimum=0, maximum=LARGEST)


def _check_channels(_: Any, __: Any, value: Any) -> None:
    if value is not None:
        check_whole("guidance_channels", value, minimum=1)


def _check_interval(_: Any, __: Any, value: Any) -> None:
    try:
        start, end = (check_real("guidance_interval", v, minimum=0, maximum=1) for v in value)
    except (TypeError, ValueError):
        start, end = 1.0, 0.0
    if start > end:
        raise InvalidValueError(
            f"guidance_interval={value!r}: must be (start, end) with 0 ≤ start ≤ end ≤ 1."
        )


@frozen
class Guidance:
    """Classifier-free guidance. Source: Ho and Salimans, 2022.

    Args:
        scale: `unconditional + scale * (conditional - unconditional)`; 1 is none.
        channels: how many channels of the prediction are guided, from the first; None is all. The
            published figures of DiT guide 3 of the 4 channels of a latent. What is not guided, and
            a learned variance, is the conditional prediction.
        interval: where in the run it acts, as fractions of its timesteps: from `start` up to `end`,
            0 at the noise and 1 at the image. Elsewhere the unconditional half is not computed.
            Source: Kynkäänniemi et al., Applying guidance in a limited interval, 2024.

    Raises:
        InvalidValueError: an option is not allowed; the message says what is.

    Examples:
        >>> guidance = Guidance(scale=4.0, interval=(0.25, 0.75))
        >>> [guidance.acts(index, steps=4) for index in range(4)]
        [False, True, True, False]
    """

    scale: float = field(default=1.0, validator=_check_scale)
    channels: int | None = field(default=None, validator=_check_channels)
    interval: tuple[float, float] = field(default=(0.0, 1.0), validator=_check_interval)

    def acts(self, index: int, *, steps: int) -> bool:
        """Whether timestep `index` of `steps` is guided.

        Args:
            index: in sampling order; 0 is the noisiest.
            steps: how many timesteps there are.
        """
        start, end = (fraction * steps - ROUNDING for fraction in self.interval)
        return self.scale != 1 and start <= index < end

    def combine(self, prediction: Tensor) -> Tensor:
        """Guide the prediction of a doubled batch, conditional half first: (2 B, ...) → (B, ...).

        Args:
            prediction: of the image channels, without a learned variance, (2 B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        conditional, unconditional = prediction.chunk(2)
        guided = torch.lerp(unconditional, conditional, self.scale)
        if self.channels is None:
            return guided
        return torch.cat([guided[:, : self.channels], conditional[:, self.channels :]], dim=1)
