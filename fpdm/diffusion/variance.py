"""The learned variance: what a network says about it, and the loss that teaches it.

A network that learns the variance predicts, beside the mean, a `v` in [-1, 1] for each pixel, which
interpolates between the smallest and the largest sensible log-variance of a step back:
`(v + 1) / 2 * log β + (1 - v) / 2 * log β̃`. Source: Nichol and Dhariwal, Improved denoising
diffusion probabilistic models, 2021, equations 15 and 16.
"""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor

from fpdm import batch

BITS = 1 / math.log(2)
GREY_LEVELS = 256
LEAST = 1e-12  # of a probability, before its logarithm


@frozen(eq=False)
class Posterior:
    """The normal distribution of `x_{t-1}` given `x_t` and a clean image; each (T,), float64.

    Attributes:
        of_clean: weight of the clean image in its mean.
        of_noisy: weight of `x_t` in its mean.
        log_small: the logarithm of its variance β̃; at the first timestep, where that is 0, the
            second's.
        log_large: the logarithm of β, the variance of the step forward.
    """

    of_clean: Tensor
    of_noisy: Tensor
    log_small: Tensor
    log_large: Tensor

    @classmethod
    def of(cls, alphas_cumprod: Tensor) -> Posterior:
        """The posterior of a process, given ᾱ of its T ≥ 2 timesteps, (T,).

        Args:
            alphas_cumprod: ᾱ from the least noisy timestep on, (T,), each in (0, 1).
        """
        after = alphas_cumprod.double()
        before = torch.cat([after.new_ones(1), after[:-1]])
        beta = 1 - after / before
        small = beta * (1 - before) / (1 - after)
        return cls(
            of_clean=before.sqrt() * beta / (1 - after),
            of_noisy=(1 - beta).sqrt() * (1 - before) / (1 - after),
            log_small=torch.cat([small[1:2], small[1:]]).log(),
            log_large=beta.log(),
        )

    def variational_bound(
        self, *, clean: Tensor, noisy: Tensor, predicted: Tensor, said: Tensor, timestep: Tensor
    ) -> Tensor:
        """One term of the variational bound for each sample, in bits per dimension.

        The Kullback-Leibler divergence of the network's step back from the posterior; at the first
        timestep the negative log-likelihood of the image under it, for 256 grey levels. Source: Ho
        et al. 2020; Nichol and Dhariwal 2021.

        Args:
            clean: images in [-1, 1], (B, C, …).
            noisy: `x_t`, (B, C, …).
            predicted: the clean images that the network predicts; (B, C, …).
            said: `v` in [-1, 1], (B, C, …).
            timestep: (B,), int64.

        Returns:
            (B,), float32.
        """
        of_clean, of_noisy, log_small, log_large = (
            batch.spread(table.to(timestep.device)[timestep].to(torch.float32), clean)
            for table in (self.of_clean, self.of_noisy, self.log_small, self.log_large)
        )
        clean, noisy, predicted, said = (x.float() for x in (clean, noisy, predicted, said))
        mean, true_mean = (of_clean * x + of_noisy * noisy for x in (predicted, clean))
        log_variance = torch.lerp(log_small, log_large, (said + 1) / 2)
        divergence = 0.5 * (
            log_variance
            - log_small
            + (log_small - log_variance).exp()
            + (true_mean - mean) ** 2 * (-log_variance).exp()
            - 1
        )
        surprise = -_log_likelihood(clean, mean, log_variance)
        first = batch.spread(timestep == 0, clean)
        return torch.where(first, surprise, divergence).flatten(1).mean(1) * BITS


def _log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The log-probability that a normal variable rounds to the grey level of `x`."""
    half = 1 / (GREY_LEVELS - 1)
    precision = (-0.5 * log_variance).exp()
    below = torch.special.ndtr((x - half - mean) * precision)
    above = torch.special.ndtr((x + half - mean) * precision)
    below = torch.where(x < -1 + half, torch.zeros_like(below), below)  # black and all beyond
    above = torch.where(x > 1 - half, torch.ones_like(above), above)
    return (above - below).clamp(min=LEAST).log()
