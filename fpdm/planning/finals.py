"""Final pictures of runs from the same noise, and how far they are from one another."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from fpdm.calibration import Way
from fpdm.checks import sample_shape
from fpdm.diffusion.conditions import LABELS, keyword_of
from fpdm.sampling import StepRecord


@frozen(eq=False)
class Final:
    """What a run came to.

    Attributes:
        samples: (B, C, …), float64.
        steps: what each timestep cost.
    """

    samples: Tensor
    steps: Sequence[StepRecord]

    @property
    def timesteps(self) -> tuple[float, ...]:
        """Of the diffusion, noisiest first."""
        return tuple(float(step.timestep) for step in self.steps)


@frozen(eq=False)
class Finals:
    """Draws the same samples in one way and another.

    Attributes:
        pipe: what draws.
        latents: the noise, (B, C, …).
        asked: what the samples are to be, as the pipeline takes it.
        always: keywords of every run.
    """

    pipe: Any
    latents: Tensor
    asked: Mapping[str, Any]
    always: Mapping[str, Any]

    @classmethod
    def apart(
        cls,
        pipe: Any,
        count: int,
        *,
        seed: int = 0,
        asked: Mapping[str, Any] | None = None,
        guidance_scale: float = 1.0,
    ) -> Finals:
        """Return what draws from the noise of a seed, on a pipeline apart.

        Args:
            pipe: the pipeline, which is left as it is.
            count: samples.
            seed: of the noise.
            asked: what the samples are to be; None is each class in turn, or nothing.
            guidance_scale: of all runs.
        """
        rng = torch.Generator().manual_seed(seed)
        latents = torch.randn(count, *sample_shape(pipe.model.config), generator=rng)
        said = usual_asked(pipe.model, count) if asked is None else asked
        return cls(apart(pipe), latents, said, {"guidance_scale": guidance_scale})

    def of(self, way: Way, budget: int, *, steps: int | None = None, **others: Any) -> Final:
        """The samples of a run.

        Args:
            way: how it spends its budget.
            budget: block passes.
            steps: timesteps; None is what the way makes of the budget.
            others: keywords of the pipeline in place of those of the way.

        Returns:
            The samples, (B, C, …), as the network draws them, and its timesteps.
        """
        if steps is None:
            steps = way.steps(budget, explicit=self.explicit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps that are too long: the error shows it
            made = self.pipe(
                **self.asked,
                **{**self.always, **way.chosen, **others},
                latents=self.latents.clone(),
                generator=torch.Generator().manual_seed(0),  # of schedulers that draw noise
                budget=budget,
                num_inference_steps=steps,
                output_type="latent",
            )
        return Final(torch.as_tensor(made.images).double().cpu(), made.steps)

    @property
    def explicit(self) -> int:
        """Block passes of a timestep before and after its iterations."""
        return int(self.pipe.model.pre_passes + self.pipe.model.post_passes)


def mean_square(first: Tensor, second: Tensor) -> float:
    """How far samples are from others: the mean of the squares.

    Args:
        first: (B, C, …).
        second: (B, C, …).
    """
    return float((first - second).square().mean())


def usual_asked(network: Any, count: int) -> dict[str, Any]:
    """What samples are to be where nobody says: each class in turn, or nothing.

    Args:
        network: that draws them.
        count: how many.
    """
    classes = network.config.get("num_classes") or network.null_class
    if keyword_of(network) != LABELS or not classes:
        return {"num_images": count}
    return {"class_labels": torch.arange(count) % int(classes)}


def apart(pipe: Any) -> Any:
    """A pipeline of the same parts, on which runs that nobody asked for are drawn.

    It shows no bars, and what is set on it leaves the pipeline as it is, whatever happens.

    Args:
        pipe: the pipeline.

    Returns:
        Another.
    """
    found = copy.copy(pipe)
    found.set_progress_bar_config(disable=True)
    return found
