"""Evaluations are the currency here, so they are counted where they are spent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fpdm import batch
from fpdm.errors import InvalidValueError, PluginError


class Counted:
    """`f`, counting its calls and refusing one more than was granted.

    Args:
        f: maps a tensor to one of its own shape and dtype.
        granted: how many calls are allowed; None for any number.

    Raises:
        PluginError: on the call after the last one granted: the solver overspent.
        InvalidValueError: when `f` does not keep shape and dtype.
    """

    def __init__(self, f: Callable[[Tensor], Tensor], *, granted: int | None = None) -> None:
        self.f = f
        self.granted = granted
        self.count = 0

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, and count it.

        Args:
            z: a state, (B, ...).

        Returns:
            The image of `z`, shaped like `z`.
        """
        if self.count == self.granted:
            raise PluginError(
                f"A solver asked for evaluation {self.count + 1} of f with {self.granted} granted."
            )
        self.count += 1
        image = self.f(z)
        if image.shape != z.shape or image.dtype != z.dtype:
            raise InvalidValueError(
                f"f must keep shape and dtype: it made {tuple(image.shape)} {image.dtype} "
                f"of {tuple(z.shape)} {z.dtype}."
            )
        return image


class Watched(Counted):
    """`f` in training: counted, with what a training wants to know of the solve.

    Args:
        f: maps a tensor to one of its own shape and dtype.

    Attributes:
        with_grad: calls that autograd has recorded.
        start_residual: `‖f(z) - z‖ / ‖f(z)‖` at the first call, (B,); None before it.
    """

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__(f)
        self.with_grad = 0
        self.start_residual: Tensor | None = None

    def __call__(self, z: Tensor) -> Tensor:
        """Evaluate `f(z)`, count it, and note the first residual."""
        image = super().__call__(z)
        self.with_grad += torch.is_grad_enabled()
        if self.start_residual is None:
            with torch.no_grad():
                gap = batch.norm(image.to(batch.wide(z.dtype)) - z)
                self.start_residual = batch.relative(gap, image)
        return image
