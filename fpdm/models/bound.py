"""The map of one timestep, which can be had for some of its samples alone."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


class Bound:
    """`f(z) = map(z, *given)`, where what is given belongs to the samples.

    It is what the `bind` of a [`Block`][fpdm.layer.Block] may return: samples that have stopped
    then leave the batch, and cost nothing.

    Args:
        map: of a state, (B, ...), and of what is given, to a state of the same shape.
        given: what does not depend on the state, each (B, ...), or (1, ...) for all samples alike.

    Examples:
        >>> import torch
        >>> from fpdm.models import Bound
        >>> f = Bound(torch.add, torch.tensor([[1.0], [2.0], [3.0]]))
        >>> f.select(torch.tensor([0, 2]))(torch.zeros(2, 1))
        tensor([[1.],
                [3.]])
    """

    def __init__(self, map: Callable[..., Tensor], *given: Tensor) -> None:
        self.map, self.given = map, given

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`.

        Args:
            z: a state, (B, ...).

        Returns:
            Its image, (B, ...).
        """
        return self.map(z, *self.given)

    def select(self, rows: Tensor) -> Bound:
        """The map of some samples alone.

        Args:
            rows: their numbers, (R,), int64.

        Returns:
            A map of states of (R, ...).
        """
        parts = (each if len(each) == 1 else each[rows] for each in self.given)
        return Bound(self.map, *parts)
