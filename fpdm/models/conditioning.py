"""What a network is told beside the image: timestep, and class or condition, as vectors."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from attrs import frozen
from diffusers.models.modeling_utils import get_parameter_dtype
from torch import Tensor, nn
from torch.nn import functional as F

from fpdm import batch
from fpdm.models.positions import MAX_PERIOD

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
        labels: those of its B classes or conditions, (B, D).
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


class ConditionEmbedding(nn.Module):
    """A condition, a vector or a sequence of tokens, through a small network; (B, …) → (B, D).

    Tokens are brought together by the attention of one query that is learned, which does not see
    their order: that has to be in them, as it is in what an encoder of texts makes. In the place of
    a condition of NaN stands a vector that is learned.

    Source: Lee et al., Set transformer, 2019 (the query).

    Args:
        size: of a condition: `(K,)`, or `(T, K)`.
        dim: width D.
    """

    def __init__(self, size: tuple[int, ...], dim: int) -> None:
        super().__init__()
        *tokens, features = size
        self.first = nn.Linear(features, dim)
        self.attend = Attending(dim) if tokens else None
        self.last = nn.Linear(dim, dim)
        self.none = nn.Parameter(torch.zeros(dim))

    def forward(self, condition: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Embed; (B, K) or (B, T, K) → (B, D).

        Args:
            condition: of real numbers, (B, K) or (B, T, K); of NaN where there is none.
            dtype: that the network computes in; None asks the weights, and what casts them.
        """
        wanted = dtype or get_parameter_dtype(self)
        none = condition.isnan().flatten(1).any(dim=1)
        given = condition.masked_fill(none.view(-1, *[1] * (condition.dim() - 1)), 0).to(wanted)
        hidden = self.first(given)
        if self.attend is not None:
            hidden = self.attend(hidden)
        return torch.where(none[:, None], self.none.to(wanted), self.last(F.silu(hidden)))


class Attending(nn.Module):
    """What one learned query finds in tokens; (B, T, D) → (B, D).

    Args:
        dim: width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scores = nn.Linear(dim, 1, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Average tokens, each by what it has to say; (B, T, D) → (B, D).

        Args:
            tokens: (B, T, D).
        """
        weights = (self.scores(tokens) / tokens.shape[-1] ** 0.5).softmax(dim=1)  # (B, T, 1)
        return (weights * tokens).sum(dim=1)


class Embeddings(nn.Module):
    """Timestep, and class or condition, to conditioning vectors.

    The null class, for guidance, comes after the others if there is one.

    Args:
        dim: width D.
        labels: how many labels there are; 0 if it is told none.
        condition_size: of what it is told in place of a label: `(K,)` or `(T, K)`; None for
            nothing.
        clock: of what the network was told in training, a name of `CLOCKS`; None is `thousand`.
        timestep_in_explicit: whether the explicit layers see the timestep.
    """

    def __init__(
        self,
        dim: int,
        *,
        labels: int,
        condition_size: tuple[int, ...] | None = None,
        clock: str | None = "thousand",
        timestep_in_explicit: bool = True,
    ) -> None:
        super().__init__()
        self.timestep = TimestepEmbedding(dim, clock)
        self.label = nn.Embedding(labels, dim) if labels else None
        self.condition = None if condition_size is None else ConditionEmbedding(condition_size, dim)
        self.timestep_in_explicit = timestep_in_explicit

    def forward(
        self, timestep: Tensor, said: Tensor | None = None, dtype: torch.dtype | None = None
    ) -> Conditioning:
        """Embed; (B,), (B, …) → two of (B, D).

        Args:
            timestep: from 0 to 1000, (B,).
            said: labels, (B,), int64; or conditions, (B, K) or (B, T, K); None where it is told
                neither.
            dtype: that the network computes in; None asks the weights, and what casts them.
        """
        noise, beside = self.timestep(timestep, dtype), self.beside(said, dtype)
        full = F.silu(noise if beside is None else noise + beside)
        if self.timestep_in_explicit:
            return Conditioning(full, full)
        return Conditioning(full, torch.zeros_like(full) if beside is None else F.silu(beside))

    def beside(self, said: Tensor | None, dtype: torch.dtype | None = None) -> Tensor | None:
        """Embed what is said beside the timestep; (B, …) → (B, D).

        Args:
            said: as of a call, (B, …).
            dtype: likewise.
        """
        if said is None:
            return None
        if self.condition is not None:
            return cast("Tensor", self.condition(said, dtype))
        return cast("Tensor", cast("nn.Embedding", self.label)(said))

    def prepare(
        self, timesteps: Tensor, said: Tensor | None = None, dtype: torch.dtype | None = None
    ) -> Conditions:
        """Embed the timesteps of a run, and what it is told; (T,), (B, …) → T times two of (B, D).

        Where it is told nothing, it is two of (1, D), for all samples alike.

        Args:
            timesteps: from 0 to 1000, (T,).
            said: as of a call, (B, …).
            dtype: likewise.
        """
        where = timesteps.device
        weight = next(self.parameters(), None)
        here = where if weight is None else weight.device  # apart if offloaded
        noise = self.timestep(timesteps.to(here), dtype).to(where)
        beside = self.beside(None if said is None else said.to(here), dtype)
        labels = noise.new_zeros(1, noise.shape[1]) if beside is None else beside.to(where)
        return Conditions(noise, labels, None if self.timestep_in_explicit else F.silu(labels))
