"""Small linear systems, one for each sample, with few operations and no wait for the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fpdm import batch

Method = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def solve_symmetric(matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """`matrix⁻¹ right`, by Cholesky's factors.

    Args:
        matrix: symmetric and positive, (B, m, m); inf on the diagonal gives a weight of 0, and
            touches no other.
        right: (B, m).

    Returns:
        The solution, (B, m), and above 0 where there is none, (B,).
    """
    if matrix.requires_grad:
        matrix, right = _without_infinite(matrix, right)
    return _solve(_by_cholesky, matrix, right)


def solve_general(matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """`matrix⁻¹ right`, by triangular factors.

    Args:
        matrix: (B, m, m).
        right: (B, m).

    Returns:
        The solution, (B, m), and above 0 where there is none, (B,).
    """
    return _solve(_by_elimination, matrix, right)


def _solve(method: Method, matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    if not matrix.requires_grad:
        return method(matrix, right)
    with torch.no_grad():  # 0 times the gradient of a singular system would be NaN
        found, failed = method(matrix, right)
        regular = (failed == 0) & found.isfinite().all(dim=1)
        identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    matrix = batch.select(regular, matrix, identity.expand_as(matrix))
    right = batch.select(regular, right, torch.zeros_like(right))
    return method(matrix, right)[0], ~regular


def _by_cholesky(matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """`torch.cholesky_solve` is the end of this too, but waits to check what it has done."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    inner = torch.linalg.solve_triangular(factor, right[:, :, None], upper=False)
    return torch.linalg.solve_triangular(factor.mT, inner, upper=True)[:, :, 0], failed


def _by_elimination(matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """`torch.linalg.solve_ex` and `lu_solve` are this too, but wait to check their pivots."""
    factors, pivots, failed = torch.linalg.lu_factor_ex(matrix)
    permutation, lower, upper = torch.lu_unpack(factors, pivots)
    moved = permutation.mT @ right[:, :, None]
    inner = torch.linalg.solve_triangular(lower, moved, upper=False, unitriangular=True)
    return torch.linalg.solve_triangular(upper, inner, upper=True)[:, :, 0], failed


def _without_infinite(matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The same system, with a 1 and zeros where inf would have no gradient."""
    taken = matrix.detach().diagonal(dim1=1, dim2=2) < torch.inf
    both = taken[:, :, None] & taken[:, None, :]
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    return torch.where(both, matrix, identity), torch.where(taken, right, 0)
