"""diffusers schedulers, set up so that sampling follows the process of training exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.schedulers.scheduling_flow_match_heun_discrete import FlowMatchHeunDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from diffusers.schedulers.scheduling_utils import (
    SchedulerMixin,  # noqa: F401 (diffusers looks here for how to load)
    SchedulerOutput,
)
from diffusers.utils.torch_utils import randn_tensor
from numpy.typing import NDArray
from torch import Tensor

from fpdm.diffusion.levels import (
    FlowLevels,
    FromPureNoise,
    ancestral_weights,
    in_equal,
    to_the_last,
)
from fpdm.diffusion.spacing import (
    LATE,
    LINEAR,
    TRAIN_TIMESTEPS,
    SpacedTimesteps,
    Spacing,
    check_spacing,
)

ALMOST_NO_SIGNAL = 2.0**-48  # of zero-terminal-SNR betas; 0 would divide by zero
BETAS: dict[str, Any] = {
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
}  # Ho et al. 2020


class DPMScheduler(SpacedTimesteps, DPMSolverMultistepScheduler):
    """DPM-Solver++ of second order, with more timesteps where there is little noise.

    It predicts clean images and goes on from the one before, too: a few of its timesteps are worth
    many of DDIM. Unlike that of diffusers it steps between the very timesteps of the run. Source:
    Lu et al., DPM-Solver++, 2022, the multistep solver 2M; zero terminal SNR: Lin et al. 2024.

    Args:
        num_train_timesteps: timesteps of the process.
        prediction_type: what the network predicts: `v_prediction`, `epsilon` or `sample`.
        rescale_betas_zero_snr: whether the last timestep is pure noise.
        clip_sample_range: the predicted clean image is clamped to ± this; None does not clamp, as
            latents want it.
        spacing: where the timesteps lie: `linear`, `quadratic`, `late`, `log-snr`, or a power;
            None is `usual_spacing`.
        beta_start: of the first timestep; the defaults are those of Ho et al. 2020.
        beta_end: of the last.
        beta_schedule: how they rise between: `linear`, or another of diffusers'.
        trained_betas: all of them, in place of these three.

    Attributes:
        order_of_solver: 1 or 2; the first is DDIM.
        usual_spacing: where the timesteps lie if it is not said.

    Raises:
        InvalidValueError: there is no such spacing.
    """

    order_of_solver: ClassVar[int] = 2
    usual_spacing: ClassVar[Spacing] = LATE

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = TRAIN_TIMESTEPS,
        prediction_type: str = "v_prediction",
        rescale_betas_zero_snr: bool = False,
        clip_sample_range: float | None = 1.2,  # noqa: ARG002 (read from the config)
        spacing: Spacing | None = None,
        beta_start: float = BETAS["beta_start"],
        beta_end: float = BETAS["beta_end"],
        beta_schedule: str = BETAS["beta_schedule"],
        trained_betas: Sequence[float] | None = None,
    ) -> None:
        if spacing is not None:
            check_spacing(spacing)
        DPMSolverMultistepScheduler.__init__(
            self,
            num_train_timesteps=num_train_timesteps,
            solver_order=self.order_of_solver,
            algorithm_type="dpmsolver++",
            final_sigmas_type="zero",
            prediction_type=prediction_type,
            rescale_betas_zero_snr=rescale_betas_zero_snr,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            trained_betas=trained_betas,
        )
        if rescale_betas_zero_snr:  # diffusers leaves 2^-24, which shows in the fourth digit
            self.alphas_cumprod[-1] = ALMOST_NO_SIGNAL

    def convert_model_output(self, model_output: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Turn a prediction into a clean image, and clamp it.

        Args:
            model_output: what the network said, (B, C, H, W).
            args: of the scheduler that this derives from.
            kwargs: likewise; `sample`, the images of this timestep, (B, C, H, W).

        Returns:
            The clean image, (B, C, H, W).
        """
        clean = cast("Tensor", super().convert_model_output(model_output, *args, **kwargs))
        limit = self.config.clip_sample_range
        return clean if limit is None else clean.clamp(-limit, limit)


class EvenDDIMScheduler(DPMScheduler):
    """Deterministic DDIM on evenly spread timesteps, each stepping to the true next one.

    First-order DPM-Solver++ is DDIM. Source: Song, Meng and Ermon, Denoising diffusion implicit
    models, 2021; Lu et al., DPM-Solver++, 2022. Its arguments are those of
    [`DPMScheduler`][fpdm.DPMScheduler].
    """

    order_of_solver: ClassVar[int] = 1
    usual_spacing: ClassVar[Spacing] = LINEAR

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
        eta: float = 0.0,
    ) -> Any:
        """Take a step.

        Args:
            model_output: what the network said, (B, C, H, W).
            timestep: of these images, ().
            sample: the images, (B, C, H, W).
            generator: for the noise; or a list of them, one for each image.
            variance_noise: in place of drawing it, (B, C, H, W).
            return_dict: whether to return a value with a `prev_sample`, or a tuple.
            eta: of the noise of ancestral sampling, how much is drawn; 0 draws none. Source: Song,
                Meng and Ermon 2021, equation 16.

        Returns:
            The images at the next timestep, (B, C, H, W), as the `prev_sample` of a value.
        """
        if not eta:
            return super().step(
                model_output,
                timestep,
                sample,
                generator=generator,
                variance_noise=variance_noise,
                return_dict=return_dict,
            )
        if self.step_index is None:
            self._init_step_index(timestep)
        index = cast("int", self.step_index)
        of_x, of_clean, deviation = (row[index] for row in ancestral_weights(self, eta))
        clean = self.convert_model_output(model_output, sample=sample)
        made = of_x * sample.to(torch.float32) + of_clean * clean
        if deviation > 0:
            if variance_noise is None:
                variance_noise = randn_tensor(
                    model_output.shape,
                    generator=generator,
                    device=model_output.device,
                    dtype=model_output.dtype,
                )
            made = made + deviation * variance_noise
        self._step_index = index + 1
        made = made.to(model_output.dtype)
        return SchedulerOutput(prev_sample=made) if return_dict else (made,)


class UniPCScheduler(UniPCMultistepScheduler):
    """UniPC, which takes timesteps as well.

    Source: Zhao et al., UniPC, 2023.
    """

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        """Spread the timesteps of a run.

        Args:
            num_inference_steps: how many, ≥ 1; those of diffusers.
            device: where they go; None is the CPU.
            timesteps: in place of a number, all of them, noisiest first.
        """
        if timesteps is None:
            super().set_timesteps(num_inference_steps, device=device)
            return
        super().set_timesteps(len(timesteps), device=device)
        told = torch.as_tensor(timesteps)
        signal = self.alphas_cumprod.cpu().double()[told]
        levels = ((1 - signal) / signal).sqrt()
        self.sigmas = torch.cat([levels, levels.new_zeros(1)]).float()
        self.timesteps = told.to(device)


class TowardsImage:
    """Takes velocities as `x0 - noise`, where diffusers expects `noise - x0`."""

    def step(self, model_output: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Take a step along the negated prediction.

        Args:
            model_output: the velocity `x0 - noise`, (B, C, H, W).
            args: of the scheduler that this derives from: the timestep and the images.
            kwargs: likewise.

        Returns:
            What diffusers returns, with a `prev_sample`, (B, C, H, W).
        """
        return cast("Any", super()).step(-model_output, *args, **kwargs)


class FlowScheduler(FlowLevels, TowardsImage, FlowMatchEulerDiscreteScheduler):
    """Euler steps of flow matching, for networks that predict `x0 - noise`.

    `x_t = (1 - t) x0 + t noise` with t from 1 to 1 / steps in equal strides; the timestep that the
    network sees is 1000 t. Source: Lipman et al., Flow matching for generative modeling, 2023.

    Args:
        num_train_timesteps: timesteps of the process.
        shift: `shift * t / (1 + (shift - 1) * t)` in place of t; above 1 for large images.
    """

    _compatibles: ClassVar[list[str]] = ["FlowMatchEulerDiscreteScheduler"]  # whose config it has

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, num_train_timesteps: int = TRAIN_TIMESTEPS, shift: float = 1.0) -> None:
        FlowMatchEulerDiscreteScheduler.__init__(
            self, num_train_timesteps=num_train_timesteps, shift=shift
        )

    even = staticmethod(in_equal)

    @property
    def time_shift(self) -> float:
        """The one set last."""
        return float(self.shift)

    def take(self, levels: NDArray[np.float64], device: str | torch.device | None) -> None:
        """Have a run step from level to level."""
        before = levels / (self.shift - (self.shift - 1) * levels)  # the shift, undone
        told = levels * self.config.num_train_timesteps
        self.set_theirs(sigmas=list(before), timesteps=list(told), device=device)

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Return the input as it is.

        Args:
            sample: (B, C, H, W).
            timestep: not looked at, ().

        Returns:
            `sample`, (B, C, H, W).
        """
        del timestep
        return sample


class FlowHeunScheduler(FlowLevels, TowardsImage, FlowMatchHeunDiscreteScheduler):
    """Heun's method of flow matching, for networks that predict `x0 - noise`.

    It calls the network twice at each step but the last. Source: Karras et al., Elucidating the
    design space of diffusion-based generative models, 2022; Lipman et al. 2023.
    """

    even = staticmethod(to_the_last)

    @property
    def time_shift(self) -> float:
        """That of the configuration."""
        return float(self.config.shift)

    def take(self, levels: NDArray[np.float64], device: str | torch.device | None) -> None:
        """Have a run step from level to level, each but the first twice."""
        self.set_theirs(len(levels), device=device)
        once = torch.from_numpy(levels).to(device, torch.float32)
        twice = torch.cat([once[:1], once[1:].repeat_interleave(2)])
        self.timesteps = twice * self.config.num_train_timesteps
        self.sigmas = torch.cat([twice, twice.new_zeros(1)])


class FlowDPMScheduler(FromPureNoise, TowardsImage, DPMSolverMultistepScheduler):
    """DPM-Solver++ of flow matching, for networks that predict `x0 - noise`.

    Source: Lu et al., DPM-Solver++, 2022.
    """


class FlowUniPCScheduler(FromPureNoise, TowardsImage, UniPCMultistepScheduler):
    """UniPC of flow matching, for networks that predict `x0 - noise`.

    Source: Zhao et al., UniPC, 2023.
    """


class EvenDDPMScheduler(SpacedTimesteps, DDPMScheduler):
    """Ancestral sampling on the same timesteps.

    Source: Ho, Jain and Abbeel, Denoising diffusion probabilistic models, 2020; a learned variance:
    Nichol and Dhariwal 2021.

    Args:
        num_train_timesteps: timesteps of the process.
        prediction_type: what the network predicts: `v_prediction`, `epsilon` or `sample`.
        variance_type: `fixed_small`, `fixed_large`, or `learned_range` where the network predicts
            the variance.
        rescale_betas_zero_snr: whether the last timestep is pure noise.
        spacing: where the timesteps lie: `linear`, `quadratic`, `late`, `log-snr`, or a power;
            None is `linear`.
        beta_start: of the first timestep; the defaults are those of Ho et al. 2020.
        beta_end: of the last.
        beta_schedule: how they rise between: `linear`, or another of diffusers'.
        trained_betas: all of them, in place of these three.

    Raises:
        InvalidValueError: there is no such spacing.
    """

    usual_spacing: ClassVar[Spacing] = LINEAR

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = TRAIN_TIMESTEPS,
        prediction_type: str = "v_prediction",
        variance_type: str = "fixed_small",
        rescale_betas_zero_snr: bool = False,
        spacing: Spacing | None = None,
        beta_start: float = BETAS["beta_start"],
        beta_end: float = BETAS["beta_end"],
        beta_schedule: str = BETAS["beta_schedule"],
        trained_betas: Sequence[float] | None = None,
    ) -> None:
        if spacing is not None:
            check_spacing(spacing)
        DDPMScheduler.__init__(
            self,
            num_train_timesteps=num_train_timesteps,
            variance_type=variance_type,
            prediction_type=prediction_type,
            clip_sample=False,
            rescale_betas_zero_snr=rescale_betas_zero_snr,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            trained_betas=trained_betas,
        )
