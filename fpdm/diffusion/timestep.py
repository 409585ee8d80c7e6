"""One timestep of a run, from images to images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from fpdm.diffusion.conditions import with_none
from fpdm.diffusion.guidance import Guidance
from fpdm.diffusion.stepping import Stepping
from fpdm.interfaces import Network
from fpdm.runtime.signatures import takes
from fpdm.solution import Denoised

PREPARED = "prepared"
"""The keyword under which a network is given what it has prepared for a timestep."""


class Told:
    """What a network is told at the timesteps of a run, made ready when it is first wanted.

    Args:
        model: the network.
        timesteps: in sampling order, (T,).
        said: beside the timestep, of B samples, by keyword; empty where it is told nothing.
    """

    def __init__(self, model: Network, timesteps: Tensor, said: Mapping[str, Tensor]) -> None:
        self.model, self.timesteps, self.said = model, timesteps, said
        self.ready: dict[bool, tuple[Mapping[str, Tensor], Any]] = {}

    def at(self, index: int, *, doubled: bool) -> dict[str, Any]:
        """What it is told at a timestep, beside the samples.

        Args:
            index: of the timestep, in sampling order.
            doubled: whether for each sample, or for two halves under guidance.

        Returns:
            What it has `prepared`, or the `timestep` and what is said beside it.
        """
        if doubled not in self.ready:
            self.ready[doubled] = self._make_ready(doubled=doubled)
        said, prepared = self.ready[doubled]
        if prepared is not None:
            return {PREPARED: prepared[index]}
        return {"timestep": self.timesteps[index], **said}

    def _make_ready(self, *, doubled: bool) -> tuple[Mapping[str, Tensor], Any]:
        model: Any = self.model
        said = with_none(self.said, model) if doubled else self.said
        prepare = getattr(model, "prepare", None)
        taken = takes(getattr(model, "forward", model), PREPARED)
        # with gradients each timestep has a graph of its own, which may be freed before the next
        if prepare is None or not taken or torch.is_grad_enabled():
            return said, None
        return said, prepare(self.timesteps, **said)


@frozen(eq=False)
class Timestep:
    """What computes a timestep of a run, from images to images.

    Attributes:
        model: the network.
        stepping: the scheduler.
        guidance: how the two halves of a doubled batch are combined.
        told: what the network is told.
    """

    model: Network
    stepping: Stepping
    guidance: Guidance
    told: Told

    def advance(
        self, x: Tensor, index: int, *, doubled: bool, **solving: Any
    ) -> tuple[Tensor, Denoised]:
        """Compute one timestep.

        Args:
            x: the images, (B, C, H, W).
            index: of the timestep, in sampling order.
            doubled: whether it is guided.
            solving: of the implicit layer, if there is one: `evals`, `history`, `moment`, `solver`,
                `init` and, if there is one, `tol`.

        Returns:
            The images after it, (B, C, H, W), and what the network said of B samples, or of 2 B if
            it is guided.
        """
        told = self.told.at(index, doubled=doubled)
        scaled = self.stepping.scale(x, index)
        prediction, variance, denoised = self.predict(scaled, told, doubled=doubled, **solving)
        return self.stepping.step(prediction, variance, index, x), denoised

    def predict(
        self, x: Tensor, told: dict[str, Any], *, doubled: bool, **solving: Any
    ) -> tuple[Tensor, Tensor, Denoised]:
        """Ask the network, and guide what it says.

        Args:
            x: the images in the scale of the network, (B, C, H, W).
            told: what it is told beside them.
            doubled: whether it is guided.
            solving: as of `advance`.

        Returns:
            The prediction, (B, C, H, W); what is said of the variance, (B, C, H, W), or
            (B, 0, H, W) if nothing is; and what the network said of all.
        """
        batch, channels = x.shape[:2]
        if doubled and PREPARED not in told:  # which is for both halves
            x = torch.cat([x, x])
        denoised = self.model(x, **told, **solving)
        prediction, variance = denoised.sample.tensor_split([channels], dim=1)
        if doubled:
            prediction, variance = self.guidance.combine(prediction), variance[:batch]
        return prediction, variance, denoised


Advance = Callable[..., tuple[Tensor, Denoised]]
"""Computes one timestep, as `Timestep.advance` does; its first argument is the `Timestep`."""
