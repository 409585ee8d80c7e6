"""Products of matrices that keep all digits of their factors, whatever else is allowed to round."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def products(vectors: Tensor, columns: Tensor) -> Tensor:
    """The inner products of vectors and columns: (B, V, D), (B, L, D) → (B, V, L).

    Args:
        vectors: (B, V, D).
        columns: (B, L, D).
    """
    if not _are_exact():
        return torch.stack([(columns * v[:, None]).sum(-1) for v in vectors.unbind(1)], dim=1)
    with _as_they_are(vectors):
        return torch.bmm(vectors, columns.mT)


def subtract(start: Tensor, weights: Tensor, columns: Tensor, *, spare: bool = False) -> Tensor:
    """`start - Σ weight · column`: (B, 1, D), (B, 1, L), (B, L, D) → (B, 1, D).

    Args:
        start: (B, 1, D).
        weights: (B, 1, L), in the same dtype.
        columns: (B, L, D).
        spare: whether `start` may be overwritten.
    """
    if not _are_exact():
        return start - (weights.mT * columns).sum(dim=1, keepdim=True)
    with _as_they_are(start):
        into = start if spare else None
        return torch.baddbmm(start, weights, columns, alpha=-1, out=into)


def _as_they_are(like: Tensor) -> AbstractContextManager[object]:
    """Keep products in their own dtype where a caller has asked to cast them."""
    kind = like.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def _are_exact() -> bool:
    """Whether a matrix product keeps all digits of its factors, as far as can be known."""
    if torch.compiler.is_compiling():  # which makes one kernel of a product and its sum
        return False
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # it was set device by device
        return False
