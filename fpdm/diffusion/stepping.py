"""A diffusers scheduler in a run: what it is given, and what it is not."""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from fpdm.diffusion.moments import moments
from fpdm.errors import InvalidValueError


class Scheduler(Protocol):
    """What sampling wants of a diffusers scheduler whose timesteps are set.

    The network is called once for each of `timesteps`, of which a scheduler of higher order has
    more than it was asked for. `scale_model_input(sample, timestep)`, where there is one, scales
    the input of the network.
    """

    timesteps: Tensor
    config: Any

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, **options: Any) -> Any:
        """Take the diffusion one timestep further; the result has a `prev_sample`.

        Args:
            model_output: what the network said, (B, C, H, W).
            timestep: of these images, ().
            sample: the images, (B, C, H, W).
            options: `generator`, where it draws noise.

        Returns:
            A value with a `prev_sample`, (B, C, H, W).
        """


class Stepping:
    """The scheduler of one run: a copy, because it counts its steps.

    Args:
        scheduler: its timesteps set.
        generator: for schedulers that draw noise; or a list of them, one for each image.
        negate: whether the scheduler is given the negated prediction.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        generator: torch.Generator | list[torch.Generator] | None,
        *,
        negate: bool,
    ) -> None:
        self.scheduler = cast("Any", deepcopy(scheduler))
        self.timesteps = self.scheduler.timesteps
        self.moments = moments(self.scheduler)
        self.negate = negate
        draws = "generator" in inspect.signature(self.scheduler.step).parameters
        self.drawing = {"generator": generator} if draws else {}
        # of the schedulers that know the word, those that keep it as their own use the variance
        uses = str(vars(self.scheduler).get("variance_type", ""))
        self.uses_variance = uses.startswith("learned")
        named = str(self.scheduler.config.get("variance_type", ""))
        if named.startswith("learned") and not self.uses_variance:
            # the others drop it themselves, and keep three channels, whatever the image has
            self.scheduler.register_to_config(variance_type=None)

    def scale(self, x: Tensor, timestep: Tensor) -> Tensor:
        """The input of the network, where the scheduler has a scale of its own.

        Args:
            x: the images, (B, C, H, W).
            timestep: of these images, ().

        Returns:
            (B, C, H, W).
        """
        scale = getattr(self.scheduler, "scale_model_input", None)
        return x if scale is None else scale(x, timestep)

    def step(self, prediction: Tensor, variance: Tensor, timestep: Tensor, x: Tensor) -> Tensor:
        """Take the images to the next timestep; a variance that it cannot use is dropped.

        Args:
            prediction: what the network said, (B, C, H, W).
            variance: what it said of the variance, (B, C, H, W), or (B, 0, H, W) if it says
                nothing.
            timestep: of these images, ().
            x: the images, (B, C, H, W).

        Returns:
            The images at the next timestep, (B, C, H, W).

        Raises:
            InvalidValueError: the scheduler needs a variance that is not there, or does not take
                this kind of prediction.
        """
        output = -prediction if self.negate else prediction
        if self.uses_variance:
            if not variance.shape[1]:
                raise InvalidValueError(
                    f"The scheduler has variance_type={self.scheduler.variance_type!r}, but the "
                    f"network predicts no variance; use variance_type='fixed_small'."
                )
            output = torch.cat([output, variance], dim=1)
        try:
            stepped = self.scheduler.step(output, timestep, x, **self.drawing)
        except NotImplementedError as error:  # a kind of prediction that it does not take
            raise InvalidValueError(f"{type(self.scheduler).__name__}: {error}.") from error
        return cast("Tensor", stepped.prev_sample)
