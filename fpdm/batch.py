"""Arithmetic on a batch of independent samples: the first dimension is the batch.

Sums run over everything but the batch, in float32 or wider whatever the dtype of the state.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rows(z: Tensor) -> Tensor:
    """One row per sample: (B, ...) → (B, D); (B,) → (B, 1); a scalar is a batch of one."""
    if z.dim() == 0:
        return z.reshape(1, 1)
    return z.reshape(z.shape[0], math.prod(z.shape[1:]))


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which sums over a state of `dtype` are accumulated."""
    return torch.promote_types(dtype, torch.float32)


def norm(z: Tensor) -> Tensor:
    """The Euclidean norm of each sample: (B, ...) → (B,)."""
    return torch.linalg.vector_norm(rows(z), dim=1, dtype=wide(z.dtype))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each sample of `a` with its partner in `b`: (B, ...) → (B,)."""
    dtype = wide(a.dtype)
    return (rows(a).to(dtype) * rows(b).to(dtype)).sum(dim=1)


def spread(coefficient: Tensor, like: Tensor) -> Tensor:
    """A number per sample, (B,), shaped and typed to multiply the state `like`, (B, ...)."""
    coefficient = coefficient.reshape(-1, *[1] * (like.dim() - 1)) if like.dim() else coefficient[0]
    return coefficient if coefficient.dtype == torch.bool else coefficient.to(like.dtype)


def select(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """`chosen` for the samples where `mask`, (B,), holds, `other` for the rest."""
    return torch.where(spread(mask, chosen), chosen, other)
