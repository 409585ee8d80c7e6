"""A window on past differences of residuals and images, and products with all of them at once.

A *pair* is a residual and an image of every sample: (B, 2, D). What is kept are the differences of
successive pairs, dR and dF; of the iterates they are dZ = dF - dR.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from attrs import Factory, define
from torch import Tensor
from torch.nn import functional as F

from fpdm import batch
from fpdm_solvers.products import products, subtract

RESIDUALS, IMAGES = 0, 1
"""The place of each in a pair."""


class Differences(ABC):
    """The last few differences; the newest takes the place of the oldest.

    Attributes:
        gram: products of the tests with the differences, one matrix for each sample, (B, m, m); a
            row and a column of it belong to each place.
        slot: the place of the next: a number, or an index of one element, (1,), where one compiled
            graph has to serve every place.
    """

    gram: Tensor
    slot: int | Tensor

    @property
    @abstractmethod
    def filled(self) -> int:
        """How many places of the window are looked at; in one that is empty stand zeros."""

    @abstractmethod
    def push(self, newer: Tensor, older: Tensor, learned: Tensor | None, *, spent: bool) -> Tensor:
        """Take a difference of pairs as the newest, for the samples that learn.

        A sample that does not learn keeps what was in that place.

        Args:
            newer: (B, 2, D).
            older: (B, 2, D).
            learned: (B,), bool; None for all.
            spent: whether `older` may be overwritten.

        Returns:
            `newer - older`, (B, 2, D).
        """

    @abstractmethod
    def border(self, row: Tensor, column: Tensor, learned: Tensor | None) -> None:
        """Write the row and the column of the newest difference to the matrix, and move on.

        Where they cross the column counts.

        Args:
            row: (B, filled).
            column: (B, filled).
            learned: the samples that learn, (B,), bool; None for all.
        """

    def own(self, border: Tensor) -> Tensor:
        """The entry of the newest difference with itself; (B,).

        Args:
            border: its row or column, (B, filled).
        """
        if isinstance(self.slot, Tensor):
            return border.index_select(1, self.slot)[:, 0]
        return border[:, self.slot]

    @abstractmethod
    def amend(self, border: Tensor, *, by: float, towards: Tensor | None = None) -> Tensor:
        """Move the entry of the newest difference with itself: `own + by (towards - own)`.

        Args:
            border: a row or a column of the newest difference, (B, filled); it may be overwritten.
            by: how far, as a share of the way.
            towards: where to, (B,); None is 0.

        Returns:
            The border, (B, filled).
        """

    @abstractmethod
    def forget(self, samples: Tensor) -> None:
        """Empty the window of some samples.

        Args:
            samples: which, (B,), bool.
        """

    @abstractmethod
    def dots(self, vectors: Tensor) -> Tensor:
        """The inner products of each difference with vectors.

        Args:
            vectors: (B, V, D).

        Returns:
            (B, V, filled, 2), the last dimension in the order of a pair.
        """

    @abstractmethod
    def with_residuals(self, vector: Tensor) -> Tensor:
        """The inner products of the differences of residuals with a vector: (B, D) → (B, filled).

        Args:
            vector: (B, D).
        """

    @abstractmethod
    def mix(self, pair: Tensor, weights: Tensor, *, parts: Sequence[int]) -> Tensor:
        """Return `part - Σ weight · difference` of some parts of a pair.

        Args:
            pair: (B, 2, D).
            weights: (B, filled), in the dtype of the pair.
            parts: which of a pair.

        Returns:
            (B, parts, D).
        """

    @property
    def matrix(self) -> Tensor:
        """The part of `gram` that is filled, (B, filled, filled)."""
        return self.gram[:, : self.filled, : self.filled]


@define(eq=False)
class Ring(Differences):
    """Differences that lie together and are written in place: for where no gradient is asked for.

    Args:
        history: of the window, (B, m, 2, D).
        gram: likewise, (B, m, m).
        slot: the place of the next, a number or (1,).
        filled: how many places there are.
        cleared: whether zeros stand in the others.
    """

    history: Tensor
    gram: Tensor
    slot: int | Tensor = 0
    filled: int = 0
    cleared: bool = True

    @property
    def size(self) -> int:
        """The length of the window."""
        return self.history.shape[1]

    @classmethod
    def empty(cls, rows: Tensor, size: int, *, cleared: bool = True) -> Ring:
        """An empty window.

        Args:
            rows: like the states, (B, D), in the dtype of the differences.
            size: how many are kept.
            cleared: whether zeros are written to all of it at once; otherwise to a place when it
                is needed, if anybody can see that it is.
        """
        shape = (rows.shape[0], size, 2, rows.shape[1])
        history = rows.new_zeros(shape) if cleared else rows.new_empty(shape)
        gram = torch.eye(size, dtype=batch.widest(rows.device), device=rows.device)
        return cls(history, gram.repeat(rows.shape[0], 1, 1), cleared=cleared)

    @property
    def writable(self) -> bool:
        """Whether it can be written here: what inference mode has made only there."""
        if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
            return True
        return not (self.history.is_inference() or self.gram.is_inference())

    def copy(self) -> Ring:
        """A copy that changes apart from this one."""
        return Ring(self.history.clone(), self.gram.clone(), slot=self.slot, filled=self.filled)

    def push(self, newer: Tensor, older: Tensor, learned: Tensor | None, *, spent: bool) -> Tensor:
        """Write the difference to its place."""
        if isinstance(self.slot, int) and self.slot == self.filled:
            self.filled += 1
            if not self.cleared and learned is not None:
                self.history[:, self.slot].zero_()
        if isinstance(self.slot, Tensor) or torch.compiler.is_compiling():
            difference = newer - older
            self._put(self.history, self._kept(difference, self.history, learned))
            return difference
        place = self.history[:, self.slot]
        if learned is None:
            return torch.sub(newer, older, out=place)
        difference = torch.sub(newer, older, out=older if spent else None)
        torch.where(learned[:, None, None], difference, place, out=place)
        return difference

    def border(self, row: Tensor, column: Tensor, learned: Tensor | None) -> None:
        """Write them in place."""
        symmetric = row is column
        row = self._kept(row, self.matrix, learned)
        self._put(self.matrix, row)
        self._put(self.matrix.mT, row if symmetric else self._kept(column, self.matrix.mT, learned))
        self.slot = (self.slot + 1) % self.size

    def amend(self, border: Tensor, *, by: float, towards: Tensor | None = None) -> Tensor:
        """Move it in place."""
        own = self.own(border)
        if isinstance(self.slot, Tensor):
            moved = own * (1 - by) if towards is None else own.lerp(towards, by)
            return border.index_copy(1, self.slot, moved[:, None])
        if towards is None:
            own.mul_(1 - by)
        else:
            own.lerp_(towards, by)
        return border

    def _kept(self, new: Tensor, table: Tensor, learned: Tensor | None) -> Tensor:
        if learned is None:
            return new
        if isinstance(self.slot, Tensor):
            old = table.index_select(1, self.slot)[:, 0]
        else:
            old = table[:, self.slot]
        return torch.where(batch.spread(learned, old), new, old)

    def _put(self, table: Tensor, new: Tensor) -> None:
        if isinstance(self.slot, Tensor):
            table.index_copy_(1, self.slot, new[:, None].to(table.dtype))
        else:
            table[:, self.slot].copy_(new)

    def forget(self, samples: Tensor) -> None:
        """An infinite entry on the diagonal gives its column the weight 0, and touches no other."""
        self.matrix.diagonal(dim1=1, dim2=2).masked_fill_(samples[:, None], torch.inf)

    def dots(self, vectors: Tensor) -> Tensor:
        """One product of matrices."""
        columns = self.history[:, : self.filled].flatten(1, 2)  # (B, 2 filled, D)
        return products(vectors, columns).unflatten(2, (self.filled, 2))

    def with_residuals(self, vector: Tensor) -> Tensor:
        """One product of matrices."""
        return products(vector[:, None], self.history[:, : self.filled, RESIDUALS])[:, 0]

    def mix(self, pair: Tensor, weights: Tensor, *, parts: Sequence[int]) -> Tensor:
        """One product of matrices."""
        chosen = slice(parts[0], parts[-1] + 1)
        start = pair[:, chosen].flatten(1)[:, None]  # (B, 1, parts D)
        columns = self.history[:, : self.filled, chosen].flatten(2)
        return subtract(start, weights[:, None], columns).unflatten(2, (len(parts), -1))[:, 0]


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
    pairs: list[Tensor] = Factory(list)
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
        return cls(size, rows.new_zeros(len(rows), 0, 0, dtype=batch.widest(rows.device)))

    @classmethod
    def of(cls, ring: Ring) -> Columns:
        """What a ring holds.

        Args:
            ring: it is left as it is.
        """
        pairs = list(ring.history[:, : ring.filled].clone().unbind(1))
        return cls(ring.size, ring.matrix.clone(), pairs=pairs, slot=int(ring.slot))

    def ring(self) -> Ring:
        """The same in a ring, without the graph."""
        pairs = torch.stack(self.pairs, dim=1).detach()
        free = self.size - self.filled
        history = F.pad(pairs, (0, 0, 0, 0, 0, free))
        gram = _grown(self.gram.detach(), free)
        return Ring(history, gram, slot=self.slot, filled=self.filled)

    def push(self, newer: Tensor, older: Tensor, learned: Tensor | None, *, spent: bool) -> Tensor:
        """Put the difference in its place."""
        del spent
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

    def dots(self, vectors: Tensor) -> Tensor:
        """One by one."""
        found = [(pair[:, None] * vectors[:, :, None]).sum(dim=-1) for pair in self.pairs]
        return torch.stack(found, dim=2)

    def with_residuals(self, vector: Tensor) -> Tensor:
        """One by one."""
        return torch.stack([(pair[:, RESIDUALS] * vector).sum(-1) for pair in self.pairs], dim=1)

    def mix(self, pair: Tensor, weights: Tensor, *, parts: Sequence[int]) -> Tensor:
        """One by one."""
        chosen = slice(parts[0], parts[-1] + 1)
        mixed = pair[:, chosen]
        for weight, column in zip(weights.unbind(dim=1), self.pairs, strict=True):
            mixed = torch.addcmul(mixed, weight[:, None, None], column[:, chosen], value=-1)
        return mixed


def _grown(gram: Tensor, by: int) -> Tensor:
    """With room for more differences: (B, m, m) → (B, m + by, m + by), 1 on its new diagonal."""
    size = gram.shape[1]
    identity = torch.eye(size + by, dtype=gram.dtype, device=gram.device)
    new = torch.arange(size + by, device=gram.device) >= size
    return torch.where(new, identity, F.pad(gram, (0, by, 0, by)))
