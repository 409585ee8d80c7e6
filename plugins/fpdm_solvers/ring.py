"""A window of differences that is written in place."""

from __future__ import annotations

import torch
from attrs import define
from torch import Tensor

from fpdm import batch
from fpdm_solvers.differences import IMAGES, RESIDUALS, Differences, moved
from fpdm_solvers.products import products, subtract


@define(eq=False)
class Ring(Differences):
    """Differences that lie together and are written in place: for where no gradient is asked for.

    Behind the window there may be a desk: two places for pairs, used by turns, so that the last one
    and the newest difference meet the window in one product, and nothing is allocated.

    Args:
        memory: the window and the desk, (B, m, 2, D) or (B, m + 2, 2, D).
        gram: of the window, (B, m, m).
        slot: the place of the next, a number or (1,).
        filled: how many places there are.
        cleared: whether zeros stand in the others.
        turn: which place of the desk was written last.
    """

    memory: Tensor
    gram: Tensor
    slot: int | Tensor = 0
    filled: int = 0
    cleared: bool = True
    turn: int = 0

    @property
    def size(self) -> int:
        """The length of the window."""
        return self.gram.shape[1]

    @property
    def history(self) -> Tensor:
        """The window, (B, m, 2, D)."""
        return self.memory[:, : self.size]

    @classmethod
    def empty(cls, rows: Tensor, size: int, *, desk: bool = False, cleared: bool = True) -> Ring:
        """An empty window.

        Args:
            rows: like the states, (B, D).
            size: how many are kept.
            desk: whether there is a desk.
            cleared: whether zeros are written to all of it at once; otherwise to a place when it
                is needed, if anybody can see that it is.
        """
        shape = (rows.shape[0], size + 2 * desk, 2, rows.shape[1])
        make = torch.zeros if cleared else torch.empty
        memory = make(shape, dtype=batch.wide(rows.dtype), device=rows.device)
        gram = torch.eye(size, dtype=batch.widest(rows.device), device=rows.device)
        return cls(memory, gram.repeat(rows.shape[0], 1, 1), cleared=cleared)

    @property
    def writable(self) -> bool:
        """Whether it can be written here: what inference mode has made only there."""
        if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
            return True
        return not (self.memory.is_inference() or self.gram.is_inference())

    def copy(self) -> Ring:
        """A copy that changes apart from this one; there is nothing on its desk."""
        memory = torch.empty_like(self.memory)
        memory[:, : self.size].copy_(self.history)
        return Ring(memory, self.gram.clone(), slot=self.slot, filled=self.filled)

    @property
    def has_desk(self) -> bool:
        """Whether there is one."""
        return self.memory.shape[1] > self.size

    def lay(self, z: Tensor, image: Tensor) -> Tensor:
        """Write a residual and an image to the desk, in the place of the last but one.

        Args:
            z: the iterate, (B, D).
            image: (B, D).

        Returns:
            They, (B, 2, D); beside the desk if there is none.
        """
        if self.has_desk:
            self.turn = 1 - self.turn
            pair = self.memory[:, self.size + self.turn]
        else:
            pair = self.memory.new_empty(len(image), 2, image.shape[1])
        pair[:, IMAGES].copy_(image)
        torch.sub(pair[:, IMAGES], z, out=pair[:, RESIDUALS])
        return pair

    def push(self, newer: Tensor, older: Tensor, learned: Tensor | None) -> Tensor:
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
        difference = torch.sub(newer, older, out=older)
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

    def catch_up(self, behind: Tensor) -> None:
        """In place, unless nobody is behind."""
        if not batch.seen_to_fail(behind > 0):
            history, gram = moved(self.history, self.gram, behind)
            self.history.copy_(history)
            self.gram.copy_(gram)

    def dots(self, vectors: Tensor) -> Tensor:
        """One product of matrices."""
        columns = self.history[:, : self.filled].flatten(1, 2)  # (B, 2 filled, D)
        return products(vectors, columns).unflatten(2, (self.filled, 2))

    def with_residuals(self, vector: Tensor) -> Tensor:
        """One product of matrices."""
        return products(vector[:, None], self.history[:, : self.filled, RESIDUALS])[:, 0]

    def with_newest(self, newest: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:
        """One product of matrices, where the pair lies on the desk."""
        if isinstance(self.slot, Tensor) or not self.has_desk:
            return super().with_newest(newest, pair)
        laid = self.size + self.turn
        both = self.memory[:, self.slot : laid + 1 : laid - self.slot, RESIDUALS]  # (B, 2, D)
        found = products(both, self.history[:, : self.filled, RESIDUALS])
        return found[:, 0], found[:, 1]

    def mix(self, base: Tensor, weights: Tensor, *, parts: slice, spare: bool) -> Tensor:
        """One product of matrices."""
        start = base.flatten(1)[:, None]  # (B, 1, parts D)
        columns = self.history[:, : self.filled, parts].flatten(2)
        mixed = subtract(start, weights[:, None], columns, spare=spare)
        return mixed.unflatten(2, (base.shape[1], -1))[:, 0]
