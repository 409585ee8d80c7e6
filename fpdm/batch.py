"""Arithmetic on a batch of independent samples: the first dimension is the batch.

Sums run over everything but the batch: norms in float64, which no square of a float32 leaves,
inner products in float32 or wider, whatever the dtype of the state.
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
    """The dtype in which arithmetic on a state of `dtype` is done where it must not overflow."""
    return torch.promote_types(dtype, torch.float32)


def norm(z: Tensor) -> Tensor:
    """The Euclidean norm of each sample: (B, ...) → (B,), float64 (float32 on MPS)."""
    dtype = torch.float32 if z.device.type == "mps" else torch.float64
    return torch.linalg.vector_norm(rows(z), dim=1, dtype=dtype)


def finite(z: Tensor) -> Tensor:
    """Whether all of a sample is finite: (B, ...) → (B,)."""
    return rows(z).isfinite().all(dim=1)


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
