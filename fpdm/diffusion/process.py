"""The diffusion process of training: how an image is noised, and what the network has to say."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor
from torch.nn import functional as F

from fpdm import batch
from fpdm.checks import choice, flag
from fpdm.diffusion import samplers
from fpdm.diffusion.spacing import TRAIN_TIMESTEPS
from fpdm.diffusion.variance import Posterior
from fpdm.errors import InvalidValueError

BOUND_WEIGHT = 0.001
PREDICTIONS = ("v_prediction", "epsilon", "sample", "flow")


@frozen(eq=False)
class Noised:
    """A noised batch.

    Attributes:
        x: the input of the network, (B, C, …).
        target: what it should predict, (B, C, …).
    """

    x: Tensor
    target: Tensor


@frozen(slots=False)
class Diffusion:
    """1000 timesteps from image to noise, and the kind of prediction.

    Args:
        prediction: `v_prediction` (Salimans and Ho 2022), `epsilon` (the noise), `sample` (the
            clean image), or `flow` (`x0 - noise` along straight lines, Lipman et al. 2023).
        zero_terminal_snr: rescale the betas so that the last timestep is pure noise (Lin et al.
            2024); not for `flow`, where it always is, nor for `epsilon`, which says nothing there.

    Raises:
        InvalidValueError: there is no such prediction, or it does not go with `zero_terminal_snr`.

    Examples:
        >>> import torch
        >>> diffusion = Diffusion(prediction="flow")
        >>> clean, noise = torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
        >>> diffusion.noise(clean, noise, timestep=torch.tensor([0.0, 1000.0])).x.flatten(1)[:, 0]
        tensor([1., 0.])
    """

    prediction: str = field(default="v_prediction", validator=choice(*PREDICTIONS))
    zero_terminal_snr: bool = field(default=False, validator=flag)

    @zero_terminal_snr.validator
    def _check_terminal(self, _: Any, value: bool) -> None:
        if value and self.prediction in ("flow", "epsilon"):
            raise InvalidValueError(
                f"zero_terminal_snr=true: not for prediction={self.prediction!r}; use v_prediction."
            )

    def timesteps(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw timesteps for training, (count,): whole ones, or real ones in [0, 1000] for flow.

        Args:
            count: how many, one for each sample.
            generator: a CPU generator; None is the global one.

        Returns:
            (count,), from 0 to 999; int64, or float32 from 0 to 1000 for flow.
        """
        if self.prediction == "flow":
            return torch.rand(count, generator=generator) * TRAIN_TIMESTEPS
        return torch.randint(0, TRAIN_TIMESTEPS, (count,), generator=generator)

    def noise(self, clean: Tensor, noise: Tensor, timestep: Tensor) -> Noised:
        """Noise a batch to its timesteps.

        Args:
            clean: images in [-1, 1], (B, C, …).
            noise: standard normal, (B, C, …).
            timestep: (B,), as drawn by `timesteps`.

        Returns:
            The input of the network, and what it should predict.
        """
        if self.prediction == "flow":
            time = (timestep / TRAIN_TIMESTEPS).to(clean.dtype)
            return Noised(
                x=torch.lerp(clean, noise, batch.spread(time, clean)), target=clean - noise
            )
        x = self._forward.add_noise(clean, noise, timestep)
        if self.prediction == "v_prediction":
            return Noised(x, self._forward.get_velocity(clean, noise, timestep))
        return Noised(x, noise if self.prediction == "epsilon" else clean)

    def loss(self, output: Tensor, noised: Noised, *, clean: Tensor, timestep: Tensor) -> Tensor:
        """The loss of training, (): the mean squared error of the prediction (Ho et al. 2020).

        Where a variance is learned, the variational bound is added, which teaches the variance and
        leaves the prediction alone: the hybrid loss of Nichol and Dhariwal 2021, with their weight
        0.001 on the sum over all timesteps.

        Args:
            output: of the network, (B, C, …), or (B, 2 C, …) where the variance is learned.
            noised: what `noise` returned.
            clean: images in [-1, 1], (B, C, …).
            timestep: (B,).
        """
        prediction, said = output.tensor_split([clean.shape[1]], dim=1)
        error = F.mse_loss(prediction, noised.target)
        if not said.shape[1]:
            return error
        bound = self._posterior.variational_bound(
            clean=clean,
            noisy=noised.x,
            predicted=self._clean(prediction.detach(), noised.x, timestep),
            said=said,
            timestep=timestep,
        )
        return error + BOUND_WEIGHT * TRAIN_TIMESTEPS * bound.mean()

    def scheduler(
        self, sampler: str | None = None, *, learned_variance: bool = False, clip: bool = True
    ) -> Any:
        """Return a diffusers scheduler that samples from this process.

        Args:
            sampler: a name of [`DIFFUSION`][fpdm.diffusion.samplers.DIFFUSION] in
                `fpdm.diffusion.samplers`; None is `dpm++`, or `euler` for flow matching.
            learned_variance: whether the network predicts the variance too; `ddpm` uses it.
            clip: whether what it draws are images in [-1, 1], near which `dpm++` and `ddim`
                keep their guesses.

        Raises:
            UnknownNameError: there is no such sampler for this kind of prediction.
            InvalidValueError: the sampler does not know these betas.
        """
        default = "euler" if self.prediction == "flow" else "dpm++"
        return samplers.build(
            default if sampler is None else sampler,
            {
                "prediction_type": self.prediction,
                "rescale_betas_zero_snr": self.zero_terminal_snr,
                "variance_type": "learned_range" if learned_variance else "fixed_small",
                **({} if clip else {"clip_sample_range": None}),
            },
        )

    def _clean(self, prediction: Tensor, x: Tensor, timestep: Tensor) -> Tensor:
        """The clean images behind a prediction."""
        alphas = batch.spread(self._forward.alphas_cumprod.to(x.device)[timestep], x)
        if self.prediction == "v_prediction":
            return alphas.sqrt() * x - (1 - alphas).sqrt() * prediction
        if self.prediction == "epsilon":
            return (x - (1 - alphas).sqrt() * prediction) / alphas.sqrt()
        return prediction

    @cached_property
    def _posterior(self) -> Posterior:
        return Posterior.of(self._forward.alphas_cumprod)

    @cached_property
    def _forward(self) -> Any:
        return self.scheduler("ddpm")
