"""Sampling the way diffusers does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from attrs import frozen
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils.torch_utils import randn_tensor
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import fpdm.models  # diffusers loads the components of modules already imported, and no others
import fpdm.schedulers  # noqa: F401
from fpdm.checks import check_choice, check_whole
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, InitStrategy
from fpdm.plugins import Spec
from fpdm.sampling import Step, sample

OUTPUT_TYPES = ("pil", "np", "pt")
STEPS = 50
"""Timesteps where neither they nor a budget are given."""
ITERATIONS = 2
"""Iterations per timestep where a budget is given without a number of timesteps."""


@frozen(eq=False)
class FPDMOutput:
    """What the pipeline made.

    Attributes:
        images: as asked for: a list of PIL images, or an array or tensor of (B, C, H, W) in [0, 1].
        steps: every step of the run, for those who want the residuals or the iterations.
    """

    images: list[Image.Image] | NDArray[np.float32] | Tensor
    steps: list[Step]


class FPDMPipeline(DiffusionPipeline):
    """Draws images with a network and a scheduler under a budget of block passes.

    Args:
        model: an `FPDiT` or a `DiT`.
        scheduler: of diffusers; it must fit what the model predicts.

    Examples:
        >>> import torch, fpdm
        >>> pipe = fpdm.FPDMPipeline.digits()
        >>> pipe.set_progress_bar_config(disable=True)
        >>> out = pipe([3, 7], budget=60, init="reuse", generator=torch.Generator().manual_seed(0))
        >>> [image.size for image in out.images], len(out.steps)
        ([(8, 8), (8, 8)], 15)
    """

    def __init__(self, model: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(model=model, scheduler=scheduler)

    @classmethod
    def digits(cls) -> FPDMPipeline:
        """The small model of handwritten digits that comes with the package."""
        from fpdm.checkpoints import DIGITS

        return cast("FPDMPipeline", cls.from_pretrained(DIGITS))

    @torch.no_grad()
    def __call__(
        self,
        class_labels: Sequence[int] | Tensor,
        *,
        budget: int | None = None,
        num_inference_steps: int | None = None,
        solver: Spec | FixedPointSolver | None = None,
        allocation: Spec | AllocationPolicy | None = None,
        init: Spec | InitStrategy | None = None,
        guidance_scale: float = 1.0,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
    ) -> FPDMOutput:
        """Draw one image for each class label.

        Args:
            class_labels: whole numbers from 0 to `num_classes`, which stands for no class; (B,).
            budget: block passes for the run, explicit layers included; None spends the model's
                own number of iterations at each of the timesteps.
            num_inference_steps: timesteps. None makes as many as leave two iterations each, or
                50 where no budget is given either.
            solver: by name, by mapping with options, or an object; None is the model's own.
            allocation: likewise; None is `constant`.
            init: likewise; None is the model's own.
            guidance_scale: classifier-free guidance; 1 is none.
            generator: for the noise; on the CPU it draws the same on every device.
            output_type: `pil`, `np` or `pt`.

        Raises:
            BudgetError: the budget cannot be spent on the timesteps.
            InvalidValueError: a label or another argument is not allowed.
            UnknownNameError: a component is not installed.
        """
        check_choice("output_type", output_type, choices=OUTPUT_TYPES)
        labels = self._check_labels(class_labels)
        steps, budget = self._spread(budget, num_inference_steps)
        config = self.model.config
        shape = (len(labels), config["in_channels"], config["sample_size"], config["sample_size"])
        self.scheduler.set_timesteps(steps, device=self.device)
        latents = randn_tensor(
            shape, generator=generator, device=self.device, dtype=self.model.dtype
        )
        latents = latents * getattr(self.scheduler, "init_noise_sigma", 1.0)
        run = sample(
            self.model,
            self.scheduler,
            latents,
            labels,
            budget=budget,
            allocation=allocation,
            init=init,
            solver=solver,
            guidance_scale=guidance_scale,
            generator=generator,
        )
        with self.progress_bar(total=steps) as bar:
            seen = []
            for step in run:
                seen.append(step)
                bar.update()
        return FPDMOutput(images=as_images(seen[-1].sample, output_type), steps=seen)

    def _check_labels(self, labels: Sequence[int] | Tensor) -> Tensor:
        given = torch.as_tensor(labels)
        if given.dim() != 1 or not len(given) or given.is_floating_point():
            raise InvalidValueError(
                f"class_labels={labels!r}: must be a list of whole numbers, one for each image."
            )
        null = self.model.null_class
        if wrong := [int(label) for label in given if not 0 <= label <= null]:
            raise InvalidValueError(
                f"class_labels: {wrong} out of range; classes go from 0 to {null - 1}, and {null} "
                f"stands for no class."
            )
        return given.to(self.device, torch.int64)

    def _spread(self, budget: int | None, steps: int | None) -> tuple[int, int]:
        """Settle timesteps and budget, where either is left open."""
        layer = getattr(self.model, "layer", None)
        explicit = self.model.pre_passes + self.model.post_passes
        if steps is not None:
            check_whole("num_inference_steps", steps, minimum=1)
        if budget is None:
            steps = STEPS if steps is None else steps
            return steps, steps * (explicit + (layer.evals if layer else 0))
        check_whole("budget", budget, minimum=1)
        if steps is None:
            steps = max(1, budget // (explicit + (ITERATIONS if layer else 0)))
        return steps, budget


def as_images(sample: Tensor, output_type: str) -> list[Image.Image] | NDArray[np.float32] | Tensor:
    """Turn images in [-1, 1], (B, C, H, W), into what was asked for, in [0, 1]."""
    unit = (sample.detach().float() / 2 + 0.5).clamp(0, 1).cpu()
    if output_type == "pt":
        return unit
    if output_type == "np":
        return cast("NDArray[np.float32]", unit.numpy())
    bytes_ = (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image) for image in bytes_
    ]
