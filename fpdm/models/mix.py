"""The first layer of the iterated block, in two parts: what sees the iterate, and what does not.

B batch, N tokens, D width.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, cast

import torch
from torch import Tensor, nn


class Adding(nn.Linear):
    """A linear layer that adds something to its output, in one operation if it is told what."""

    def forward(self, input: Tensor, to: Tensor | None = None) -> Tensor:
        """Multiply, and add; (B, N, D) → (B, N, E).

        Args:
            input: (B, N, D).
            to: what is added in place of a bias, (B, N, E); None adds the bias.
        """
        if to is None:
            return super().forward(input)
        made = torch.addmm(to.flatten(0, -2), input.flatten(0, -2), self.weight.t())
        return made.unflatten(0, input.shape[:-1])


class Mix(nn.Module):
    """`W1 [z, p] + b1`, of which `W1p p + b1` is a constant of a solve.

    Older versions kept W1 as one `weight` with the columns `[state, injection]`, and b1 as its
    `bias`; such tensors are loaded too.

    Args:
        dim: width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.state = Adding(dim, 2 * dim, bias=False)  # W1z
        self.injection = nn.Linear(dim, 2 * dim)  # W1p, b1

    def forward(self, z: Tensor, constant: Tensor) -> Tensor:
        """Mix the iterate with what does not depend on it; (B, N, D) → (B, N, 2 D).

        Args:
            z: the iterate, (B, N, D).
            constant: what `injection` made, (B, N, 2 D).
        """
        if isinstance(self.state, Adding):
            return cast("Tensor", self.state(z, constant))
        return cast("Tensor", self.state(z) + constant)  # a tool has put another in its place

    def initialise(self) -> None:
        """Draw W1 as the one matrix that it is, Xavier-uniform; b1 is zero."""
        state, injection = self.state.weight, self.injection.weight
        whole = state.new_empty(len(state), state.shape[1] + injection.shape[1])
        nn.init.xavier_uniform_(whole)
        with torch.no_grad():
            for part, columns in zip((state, injection), whole.chunk(2, dim=1), strict=True):
                part.copy_(columns)
        nn.init.zeros_(self.injection.bias)

    def renew(self, tensors: MutableMapping[str, Tensor], prefix: str) -> None:
        """Give the tensors of an older version the names of this one, in place.

        Args:
            tensors: weights by name, or what an optimizer keeps for each of them, of the same
                shape or of one element.
            prefix: of the names of this module.
        """
        weight = tensors.pop(f"{prefix}weight", None)
        if weight is not None:
            parts = weight.chunk(2, dim=1) if weight.dim() else (weight, weight)
            for name, part in zip(("state", "injection"), parts, strict=True):
                tensors[f"{prefix}{name}.weight"] = part.clone(
                    memory_format=torch.contiguous_format
                )
        bias = tensors.pop(f"{prefix}bias", None)
        if bias is not None:
            tensors[f"{prefix}injection.bias"] = bias

    def whole(self, tensors: MutableMapping[str, Tensor], prefix: str) -> None:
        """The way back: give tensors the names that they had, and published checkpoints have.

        Args:
            tensors: weights by name, of any shapes.
            prefix: of the names of this module.
        """
        names = [f"{prefix}{name}.weight" for name in ("state", "injection")]
        tensors[f"{prefix}weight"] = torch.cat([tensors.pop(name) for name in names], dim=1)
        tensors[f"{prefix}bias"] = tensors.pop(f"{prefix}injection.bias")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        self.renew(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *rest)
