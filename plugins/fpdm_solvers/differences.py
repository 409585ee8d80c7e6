"""A window on past differences, and products with all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Differences:
    """The last few differences of states; the newest takes the place of the oldest.

    Where no gradient is asked for they lie in one tensor, written in place, so that a product with
    all of them is one matrix product and the memory is that of `size` states. Otherwise each stays
    by itself, and autograd keeps nothing twice.

    Args:
        size: how many are kept.
        columns: those there are, each (B, D); the place of one is its slot.
        count: how many there have ever been.
        stack: the tensor, (B, size, D), that the columns are views of, or None.
    """

    def __init__(
        self,
        size: int,
        columns: Sequence[Tensor] = (),
        count: int = 0,
        stack: Tensor | None = None,
    ) -> None:
        self.size, self.columns, self.count, self.stack = size, tuple(columns), count, stack

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

    def push(self, newer: Tensor, older: Tensor) -> Differences:
        """With `newer - older`, (B, D), as the newest; this window itself is used up."""
        slot = self.count % self.size
        if torch.is_grad_enabled() and (newer.requires_grad or older.requires_grad):
            columns = (*self.columns[:slot], newer - older, *self.columns[slot + 1 :])
            return Differences(self.size, columns, self.count + 1)
        stack = self._stack(newer)
        torch.sub(newer, older, out=stack[:, slot])
        views = stack[:, : min(self.count + 1, self.size)].unbind(dim=1)
        return Differences(self.size, views, self.count + 1, stack)

    def copy(self) -> Differences:
        """One that can be used up without touching this one; it has no gradient."""
        fresh = Differences(self.size, [column.detach() for column in self.columns], self.count)
        if not self.columns:
            return fresh
        stack = fresh._stack(self.columns[0])
        return Differences(self.size, stack[:, : len(self)].unbind(dim=1), self.count, stack)

    def _stack(self, like: Tensor) -> Tensor:
        if self.stack is not None:
            return self.stack
        stack = like.new_empty(like.shape[0], self.size, like.shape[1])
        for slot, column in enumerate(self.columns):
            stack[:, slot] = column
        return stack

    def dots(self, vector: Tensor) -> Tensor:
        """The inner product of each with `vector`, (B, D); (B, len)."""
        if self.stack is None or not _exact(vector):
            return torch.stack([(column * vector).sum(dim=1) for column in self.columns], dim=1)
        with torch.autocast(vector.device.type, enabled=False):
            return torch.bmm(vector[:, None], self.stack[:, : len(self)].mT)[:, 0]

    def subtract(self, start: Tensor, weights: Tensor) -> Tensor:
        """`start - Σ weight · difference`; (B, D), weights (B, len)."""
        weights = weights.to(start.dtype)
        if self.stack is None or not _exact(start, weights):
            for weight, column in zip(weights.unbind(dim=1), self.columns, strict=True):
                start = torch.addcmul(start, weight[:, None], column, value=-1)
            return start
        with torch.autocast(start.device.type, enabled=False):
            moved = torch.bmm(weights[:, None], self.stack[:, : len(self)])[:, 0]
        return torch.sub(start, moved, out=moved)


def _exact(*factors: Tensor) -> bool:
    """Whether a matrix product would do: no gradient is asked for, and it rounds no factor."""
    graph = torch.is_grad_enabled() and any(factor.requires_grad for factor in factors)
    return not graph and torch.get_float32_matmul_precision() == "highest"
