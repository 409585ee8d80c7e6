"""What is kept for the backward pass, and what is computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_KEPT: ContextVar[bool] = ContextVar("all_kept", default=False)


@contextmanager
def all_kept() -> Iterator[None]:
    """A context in which nothing is left to be computed again.

    What a second derivative needs would be so outside of the contexts that it was recorded in, such
    as that of a kind of attention.
    """
    token = _KEPT.set(True)
    try:
        yield
    finally:
        _KEPT.reset(token)


class Checkpointed(nn.Module):
    """A module that diffusers' `enable_gradient_checkpointing` can switch to recomputation.

    It then keeps the inputs of its `run` for the backward pass, and computes the rest again.
    Source: Chen et al., Training deep nets with sublinear memory cost, 2016.

    Attributes:
        lean: whether, in training, what is cheap between two products of matrices is computed again
            even if not so switched.
    """

    gradient_checkpointing = False
    lean = False
    _gradient_checkpointing_func: Callable[..., Tensor]

    def recompute(self, run: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """Call `run`, and keep nothing but its inputs if so switched.

        Args:
            run: what computes; a tensor comes out.
            inputs: of it.

        Returns:
            What `run` returns, of its shape.
        """
        if self.gradient_checkpointing and _can_compute_again():
            return self._gradient_checkpointing_func(run, *inputs)
        return run(*inputs)

    def cheaply(self, run: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Call `run`, whose last operation is a linear layer; if `lean`, keep only its inputs.

        In the backward pass `run` is then computed again up to the input of the linear layer: the
        recomputation stops when all that was not kept is there, before the product is taken. A
        compiler decides for itself what it computes again.

        Args:
            run: what computes; a tensor comes out.
            inputs: of it, of any shapes.

        Returns:
            What `run` returns, of its shape.
        """
        again = self.lean and self.training and _can_compute_again()
        if again and not self.gradient_checkpointing and not torch.compiler.is_compiling():
            return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)
        return run(*inputs)


def _can_compute_again() -> bool:
    """Whether there is a backward pass, and one that keeps what it is told to.

    A transform of `torch.func` keeps all that it needs by itself.
    """
    if torch._C._are_functorch_transforms_active() or not torch.is_grad_enabled():
        return False
    return torch.compiler.is_compiling() or not _KEPT.get()
