"""What a pipeline gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffusers.utils import BaseOutput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor


@dataclass
class FPDMOutput(BaseOutput):
    """What the pipeline made.

    Attributes:
        images: as asked for: a list of PIL images, an array of (B, H, W, C) or a tensor of
            (B, C, H, W) in [0, 1], or the latents. Samples that are no images, such as points, are
            (B, C, …) in both, as the network draws them.
        steps: a [`StepRecord`][fpdm.sampling.StepRecord] of each timestep: what it cost and how its
            solve ended. [`fpdm.sample`][fpdm.sample] also gives the images and solutions in
            between.
        broken: indices of images that are not finite: black, or NaN in an array or a tensor.
    """

    images: list[Image.Image] | NDArray[np.float32] | Tensor
    steps: list[Any]
    broken: tuple[int, ...] = ()

    @property
    def average_passes(self) -> float:
        """Block passes that an image cost on average: the budget, or less where some stopped."""
        return sum(step.average_passes for step in self.steps)
