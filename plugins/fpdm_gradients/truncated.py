"""Backpropagation through the last iterations only: what S-JFB, JFB and phantom share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fpdm.interfaces import FixedPointSolver
from fpdm.solution import Solution, join


def truncated(
    f: Callable[[Tensor], Tensor],
    z0: Tensor,
    *,
    before: tuple[FixedPointSolver, int],
    after: tuple[FixedPointSolver, int],
) -> Solution:
    """Solve without gradient, detach, and go on with gradient.

    Args:
        f: the map.
        z0: where to start, (B, ...); it receives no gradient.
        before: a solver and its evaluations without gradient.
        after: a solver and its evaluations with gradient.

    Returns:
        The solution of the second solve, with the evaluations of both.
    """
    first, no_grad = before
    second, grad = after
    with torch.no_grad():
        start = first.solve(f, z0.detach(), evals=no_grad)
    return join(start, second.solve(f, start.value.detach(), evals=grad))
