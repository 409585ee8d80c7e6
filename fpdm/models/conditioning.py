"""What a network is told beside the image: timestep and class, as vectors."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from attrs import frozen
from diffusers.models.modeling_utils import get_parameter_dtype
from torch import Tensor, nn
from torch.nn import functional as F

from fpdm import batch
from fpdm.models.positions import MAX_PERIOD
from fpdm.models.size import Size

FREQUENCIES = 256
THOUSAND = 1000


class Conditioning(NamedTuple):
    """The conditioning vectors of one timestep, after the SiLU that all layers share; each (B, D).

    Attributes:
        full: of timestep plus class.
        explicit: what the explicit layers see: the same, or of the class alone.
    """

    full: Tensor
    explicit: Tensor


@frozen(eq=False)
class Conditions:
    """The conditioning vectors of a run, whose embeddings are computed once.

    Attributes:
        timesteps: the embeddings of its T timesteps, (T, D).
        labels: those of its B classes, (B, D).
        explicit: what the explicit layers see at each of them, (B, D); None where they see the
            timestep too.
    """

    timesteps: Tensor
    labels: Tensor
    explicit: Tensor | None

    def __getitem__(self, index: int) -> Conditioning:
        """The conditioning vectors of one timestep, each (B, D).

        Args:
            index: of the timestep, in sampling order.
        """
        full = F.silu(self.timesteps[index] + self.labels)
        return Conditioning(full, full if self.explicit is None else self.explicit)


class TimestepEmbedding(nn.Module):
    """Sinusoids of the timestep, `[cos, sin]`, through a small network.

    128 frequencies, from 1 down to almost 1/10000. Source: Vaswani et al. 2017; Peebles and Xie
    2023.

    Args:
        dim: width D.
        clock: of what the network was told in training, a name of `CLOCKS`; None is `thousand`.
    """

    def __init__(self, dim: int, clock: str | None = "thousand") -> None:
        super().__init__()
        self.clock = clock
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, timestep: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Embed; (B,) → (B, D).

        Args:
            timestep: from 0 to 1000, (B,).
            dtype: that the network computes in; None asks the weights, and what casts them.
        """
        half = FREQUENCIES // 2
        last, device = (1 - half) / half, timestep.device
        wide = batch.widest(device)  # a timestep near 1000 costs float32 four digits of the angle
        waves = torch.logspace(0, last, half, base=MAX_PERIOD, dtype=wide, device=device)
        if self.clock in ("sit", "unit"):
            timestep = timestep.to(wide) / THOUSAND
            timestep = 1 - timestep if self.clock == "sit" else timestep
        angle = timestep[:, None] * waves  # in the wider of the two
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
        return cast("Tensor", self.mlp(waves.to(dtype or get_parameter_dtype(self))))


class Embeddings(nn.Module):
    """Timestep and class to conditioning vectors.

    The null class, for guidance, comes after the others if there is one.

    Args:
        size: of the transformer.
        timestep_in_explicit: whether the explicit layers see the timestep.
    """

    def __init__(self, size: Size, *, timestep_in_explicit: bool) -> None:
        super().__init__()
        self.timestep = TimestepEmbedding(size.hidden_size, size.clock)
        self.label = nn.Embedding(size.num_classes + size.has_null_class, size.hidden_size)
        self.timestep_in_explicit = timestep_in_explicit

    def forward(
        self, timestep: Tensor, class_labels: Tensor, dtype: torch.dtype | None = None
    ) -> Conditioning:
        """Embed; (B,), (B,) → two of (B, D).

        Args:
            timestep: from 0 to 1000, (B,).
            class_labels: (B,), int64.
            dtype: that the network computes in; None asks the weights, and what casts them.
        """
        label = self.label(class_labels)
        full = F.silu(self.timestep(timestep, dtype) + label)
        return Conditioning(full, full if self.timestep_in_explicit else F.silu(label))

    def prepare(
        self, timesteps: Tensor, class_labels: Tensor, dtype: torch.dtype | None = None
    ) -> Conditions:
        """Embed every timestep and every class of a run; (T,), (B,) → T times two of (B, D).

        Args:
            timesteps: from 0 to 1000, (T,).
            class_labels: (B,), int64.
            dtype: that the network computes in; None asks the weights, and what casts them.
        """
        where, here = timesteps.device, self.label.weight.device  # apart, where it is offloaded
        labels = self.label(class_labels.to(here)).to(where)
        return Conditions(
            self.timestep(timesteps.to(here), dtype).to(where),
            labels,
            None if self.timestep_in_explicit else F.silu(labels),
        )
