"""The distribution of a latent, as an `AutoencoderKL` gives it."""

from __future__ import annotations

from torch import Tensor


def draw_latent(moments: Tensor, noise: Tensor) -> Tensor:
    """Draw a latent: the mean and the standard deviation times some noise.

    Source: Kingma and Welling, Auto-encoding variational Bayes, 2014.

    Args:
        moments: the mean, then the logarithm of the variance, (…, 2C, h, w).
        noise: standard normal, (…, C, h, w).

    Returns:
        (…, C, h, w).
    """
    mean, log_variance = moments.chunk(2, dim=-3)
    return mean + (log_variance.clamp(-30, 20) / 2).exp() * noise  # as diffusers clamps it
