"""A window of differences that autograd can follow."""

from __future__ import annotations

import torch
from attrs import define
from torch import Tensor
from torch.nn import functional as F

from fpdm import batch
from fpdm_solvers.differences import RESIDUALS, Differences, moved
from fpdm_solvers.ring import Ring


@define(eq=False)
class Columns(Differences):
    """Differences that stay by themselves, so that autograd keeps nothing twice.

    Args:
        size: how many are kept.
        gram: of those there are, (B, len, len).
        pairs: they, each (B, 2, D), in the order of their places.
        slot: the place of the next.
    """

    size: int
    gram: Tensor
    pairs: list[Tensor]
    slot: int = 0

    @property
    def filled(self) -> int:
        """How many there are."""
        return len(self.pairs)

    @classmethod
    def empty(cls, rows: Tensor, size: int) -> Columns:
        """An empty window.

        Args:
            rows: like the states, (B, D).
            size: how many are kept.
        """
        return cls(size, rows.new_zeros(len(rows), 0, 0, dtype=batch.widest(rows.device)), [])

    @classmethod
    def of(cls, ring: Ring) -> Columns:
        """What a ring holds.

        Args:
            ring: it is left as it is.
        """
        pairs = list(ring.history[:, : ring.filled].clone().unbind(1))
        return cls(ring.size, ring.matrix.clone(), pairs=pairs, slot=int(ring.slot))

    @property
    def has_graph(self) -> bool:
        """Whether autograd, or a transform of torch.func, has recorded any of them."""
        return any(each.requires_grad for each in self.pairs)

    def copy(self) -> Columns:
        """The same tensors, which nobody writes to."""
        return Columns(self.size, self.gram, pairs=list(self.pairs), slot=self.slot)

    def detach(self) -> Columns:
        """The same without a graph."""
        pairs = [each.detach() for each in self.pairs]
        return Columns(self.size, self.gram.detach(), pairs=pairs, slot=self.slot)

    def ring(self) -> Ring:
        """The same in a ring."""
        pairs = torch.stack(self.pairs, dim=1)
        free = self.size - self.filled
        history = F.pad(pairs, (0, 0, 0, 0, 0, free))
        gram = _grown(self.gram, free)
        return Ring(history, gram, slot=self.slot, filled=self.filled)

    def push(self, newer: Tensor, older: Tensor, learned: Tensor | None) -> Tensor:
        """Put the difference in its place."""
        difference = newer - older
        kept = difference
        if learned is not None:
            new = self.slot == self.filled
            old = torch.zeros_like(difference) if new else self.pairs[self.slot]
            kept = batch.select(learned, difference, old)
        self.pairs[self.slot : self.slot + 1] = [kept]
        return difference

    def border(self, row: Tensor, column: Tensor, learned: Tensor | None) -> None:
        """Make a new matrix of the old one and its new border."""
        place, before = self.slot, self.gram
        if place == before.shape[1]:
            before = _grown(before, 1)
        here = torch.arange(self.filled, device=row.device) == place
        new = torch.where(here[:, None], row[:, None], before)
        new = torch.where(here, column[:, :, None], new)
        self.gram = new if learned is None else batch.select(learned, new, before)
        self.slot = (place + 1) % self.size

    def amend(self, border: Tensor, *, by: float, towards: Tensor | None = None) -> Tensor:
        """Move that of a copy."""
        own = self.own(border)
        moved = own * (1 - by) if towards is None else own.lerp(towards, by)
        here = torch.arange(self.filled, device=border.device) == self.slot
        return torch.where(here, moved[:, None], border)

    def forget(self, samples: Tensor) -> None:
        """Likewise with an infinite diagonal."""
        infinite = torch.full_like(self.gram, torch.inf)
        here = torch.eye(self.filled, dtype=torch.bool, device=self.gram.device)
        self.gram = torch.where(samples[:, None, None] & here, infinite, self.gram)

    def catch_up(self, behind: Tensor) -> None:
        """All together, and apart again."""
        free = self.size - self.filled
        history = F.pad(torch.stack(self.pairs, dim=1), (0, 0, 0, 0, 0, free))
        history, gram = moved(history, _grown(self.gram, free), behind)
        self.pairs = list(history[:, : self.filled].unbind(1))
        self.gram = gram[:, : self.filled, : self.filled]

    def dots(self, vectors: Tensor) -> Tensor:
        """One by one."""
        found = [(pair[:, None] * vectors[:, :, None]).sum(dim=-1) for pair in self.pairs]
        return torch.stack(found, dim=2)

    def with_residuals(self, vector: Tensor) -> Tensor:
        """One by one."""
        return torch.stack([(pair[:, RESIDUALS] * vector).sum(-1) for pair in self.pairs], dim=1)

    def mix(self, base: Tensor, weights: Tensor, *, parts: slice, spare: bool) -> Tensor:
        """One by one."""
        del spare
        mixed = base
        for weight, column in zip(weights.unbind(dim=1), self.pairs, strict=True):
            mixed = torch.addcmul(mixed, weight[:, None, None], column[:, parts], value=-1)
        return mixed


def _grown(gram: Tensor, by: int) -> Tensor:
    """With room for more differences: (B, m, m) → (B, m + by, m + by), 1 on its new diagonal."""
    size = gram.shape[1]
    identity = torch.eye(size + by, dtype=gram.dtype, device=gram.device)
    new = torch.arange(size + by, device=gram.device) >= size
    return torch.where(new, identity, F.pad(gram, (0, by, 0, by)))
