"""What a network is told beside the image: timestep and class, as vectors."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fpdm.models.positions import MAX_PERIOD
from fpdm.models.size import Size

FREQUENCIES = 256


class Conditioning(NamedTuple):
    """The conditioning vectors of one timestep; each (B, D).

    Attributes:
        full: timestep plus class.
        explicit: what the explicit layers see: the same, or the class alone.
    """

    full: Tensor
    explicit: Tensor


class TimestepEmbedding(nn.Module):
    """Sinusoids of the timestep, `[cos, sin]`, through a small network.

    128 frequencies, from 1 down to almost 1/10000. Source: Vaswani et al. 2017; Peebles and Xie
    2023.

    Args:
        dim: width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, timestep: Tensor) -> Tensor:
        """Embed; (B,) → (B, D).

        Args:
            timestep: from 0 to 1000, (B,).
        """
        half = FREQUENCIES // 2
        # a timestep near 1000 costs float32 four digits of the angle; MPS has nothing wider
        wide = torch.float32 if timestep.device.type == "mps" else torch.float64
        exponent = torch.arange(half, dtype=wide, device=timestep.device) / half
        angle = timestep[:, None].to(wide) * torch.exp(-math.log(MAX_PERIOD) * exponent)
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
        return cast("Tensor", self.mlp(waves.to(cast("nn.Linear", self.mlp[0]).weight.dtype)))


class Embeddings(nn.Module):
    """Timestep and class to conditioning vectors.

    The null class, for guidance, comes after the others if there is one.

    Args:
        size: of the transformer.
        timestep_in_explicit: whether the explicit layers see the timestep.
    """

    def __init__(self, size: Size, *, timestep_in_explicit: bool) -> None:
        super().__init__()
        self.timestep = TimestepEmbedding(size.hidden_size)
        self.label = nn.Embedding(size.num_classes + size.has_null_class, size.hidden_size)
        self.timestep_in_explicit = timestep_in_explicit

    def forward(self, timestep: Tensor, class_labels: Tensor) -> Conditioning:
        """Embed; (B,), (B,) → two of (B, D).

        Args:
            timestep: from 0 to 1000, (B,).
            class_labels: (B,), int64.
        """
        label = self.label(class_labels)
        full = self.timestep(timestep) + label
        return Conditioning(full, full if self.timestep_in_explicit else label)
