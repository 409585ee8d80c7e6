"""A window on past differences, and products with all of them at once."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from fpdm.batch import seen_to_hold, select

BLOCK = 8
"""Columns that are allocated together."""


class Differences:
    """The last few differences of states; the newest takes the place of the oldest.

    Where no gradient is asked for they lie together in blocks, written in place, so that a product
    with a whole block is one matrix product. Otherwise each stays by itself, and autograd keeps
    nothing twice.

    Args:
        size: how many are kept.

    Attributes:
        columns: those there are, each (B, D); the place of one is its slot.
        count: how many there have ever been.
        blocks: the tensors, each (B, ≤ BLOCK, D), of which the columns are views, or nothing.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.columns: list[Tensor] = []
        self.count = 0
        self.blocks: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def slot(self) -> int:
        """The place of the newest."""
        return (self.count - 1) % self.size

    @property
    def newest(self) -> Tensor:
        """The difference pushed last; (B, D)."""
        return self.columns[self.slot]

    def push(self, newer: Tensor, older: Tensor, learned: Tensor) -> None:
        """Take `newer - older`, (B, D), as the newest, where `learned`, (B,), holds.

        A sample that does not learn keeps what was in that place; in a new place it has anything.

        Args:
            newer: (B, D).
            older: (B, D).
            learned: (B,), bool.
        """
        slot = self.count % self.size
        self.count += 1
        kept = self.columns[slot] if slot < len(self) and not seen_to_hold(learned) else None
        if torch.is_grad_enabled() and (newer.requires_grad or older.requires_grad):
            self.blocks = []
        elif self.blocks or not self.columns:
            place = self.columns[slot] if slot < len(self) else self._place(newer)
            with suppress(RuntimeError):  # under a transform of torch.func nothing can be written
                if kept is None:
                    torch.sub(newer, older, out=place)
                else:
                    place.copy_(select(learned, newer - older, kept))
                return
            self.blocks = []
        difference = newer - older
        if kept is not None:
            difference = select(learned, difference, kept)
        self.columns[slot : slot + 1] = [difference]

    def detach(self) -> None:
        """Drop the graph."""
        self.columns = [column.detach() for column in self.columns]

    def copy(self) -> Differences:
        """A copy with the same columns that changes apart from this one."""
        fresh = Differences(self.size)
        for column in self.columns:
            fresh._place(column).copy_(column)
        fresh.count = self.count
        return fresh

    def _place(self, like: Tensor) -> Tensor:
        """Where the next column may be written."""
        block, inside = divmod(len(self.columns), BLOCK)
        if block == len(self.blocks):
            width = min(BLOCK, self.size - len(self.columns))
            self.blocks.append(like.new_empty(like.shape[0], width, like.shape[1]))
        self.columns.append(self.blocks[block][:, inside])
        return self.columns[-1]

    def dots(self, vector: Tensor) -> Tensor:
        """The inner product of each with `vector`, (B, D); (B, len).

        Args:
            vector: (B, D).

        Returns:
            (B, len), in the order of the slots.
        """
        if not self._as_products(vector):
            return torch.stack([(column * vector).sum(dim=1) for column in self.columns], dim=1)
        return torch.cat([_product(vector, block.mT) for block in self._filled()], dim=1)

    def subtract(self, start: Tensor, weights: Tensor) -> Tensor:
        """Return `start - Σ weight · difference`.

        Args:
            start: (B, D).
            weights: in the order of the slots, (B, len).

        Returns:
            (B, D).
        """
        weights = weights.to(start.dtype)
        if self._as_products(start, weights):
            parts, blocks = weights.split(BLOCK, dim=1), self._filled()
            left = start - _product(parts[0], blocks[0])
            for part, block in zip(parts[1:], blocks[1:], strict=True):
                left -= _product(part, block)
            return left
        for weight, column in zip(weights.unbind(dim=1), self.columns, strict=True):
            start = torch.addcmul(start, weight[:, None], column, value=-1)
        return start

    def _as_products(self, *factors: Tensor) -> bool:
        """Whether matrix products would do: no gradient is asked for, and they round no factor."""
        graph = torch.is_grad_enabled() and any(factor.requires_grad for factor in factors)
        return bool(self.blocks) and not graph and _are_products_exact()

    def _filled(self) -> list[Tensor]:
        """The blocks without the places that nothing has been written to."""
        filled = [min(BLOCK, len(self) - BLOCK * index) for index in range(len(self.blocks))]
        return [block[:, :width] for block, width in zip(self.blocks, filled, strict=True)]


def _product(vector: Tensor, matrix: Tensor) -> Tensor:
    """`vector matrix` for each sample, in their own dtype: (B, K), (B, K, L) → (B, L)."""
    with torch.autocast(vector.device.type, enabled=False):
        return torch.bmm(vector[:, None], matrix)[:, 0]


def _are_products_exact() -> bool:
    """Whether a matrix product keeps all digits of its factors, as far as can be known."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # it was set device by device
        return False
