"""A window on past differences of residuals and images, and products with all of them at once.

A *pair* is a residual and an image of every sample: (B, 2, D). What is kept are the differences of
successive pairs, dR and dF; of the iterates they are dZ = dF - dR.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

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
    def push(self, newer: Tensor, older: Tensor, learned: Tensor | None) -> Tensor:
        """Take a difference of pairs as the newest, for the samples that learn.

        A sample that does not learn keeps what was in that place.

        Args:
            newer: (B, 2, D).
            older: (B, 2, D); it may be overwritten unless all learn.
            learned: (B,), bool; None for all.

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
    def catch_up(self, behind: Tensor) -> None:
        """Move the window of each sample on, its oldest difference first again.

        Args:
            behind: by how many places, (B,), int64.
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

    def with_newest(self, newest: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:
        """The inner products of the differences of residuals with the newest, and with a residual.

        Args:
            newest: the newest difference, (B, 2, D); of a sample that did not learn it, anything.
            pair: the last pair, (B, 2, D).

        Returns:
            (B, filled) each.
        """
        found = newest[:, RESIDUALS], pair[:, RESIDUALS]
        return self.with_residuals(found[0]), self.with_residuals(found[1])

    @abstractmethod
    def mix(self, base: Tensor, weights: Tensor, *, parts: slice, spare: bool) -> Tensor:
        """Return `part - Σ weight · difference` of some parts of a pair.

        Args:
            base: those parts, (B, parts, D).
            weights: (B, filled), in the same dtype.
            parts: which of a pair.
            spare: whether `base` may be overwritten.

        Returns:
            (B, parts, D).
        """

    @property
    def matrix(self) -> Tensor:
        """The part of `gram` that is filled, (B, filled, filled)."""
        return self.gram[:, : self.filled, : self.filled]


def moved(history: Tensor, gram: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    """Move the window of each sample on; what was at its end comes first.

    Args:
        history: all of it, (B, m, 2, D).
        gram: (B, m, m).
        by: how many places, (B,), int64.

    Returns:
        The two, of the same shapes.
    """
    size = gram.shape[1]
    source = (torch.arange(size, device=by.device) - by[:, None]) % size  # (B, m)
    sample = torch.arange(len(by), device=by.device)[:, None]
    gram = gram[sample[:, :, None], source[:, :, None], source[:, None]]
    return history[sample, source], gram
