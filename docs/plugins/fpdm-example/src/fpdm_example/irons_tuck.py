"""Irons-Tuck relaxation: each sample finds the length of its own steps."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import field, frozen
from fpdm import batch
from fpdm.checks import real
from fpdm.iteration import IterativeSolver
from torch import Tensor

State = tuple[Tensor, Tensor]
"""The last residual, (B, D), and the relaxation that was used with it, (B,)."""


@frozen
class IronsTuck(IterativeSolver):
    """Dynamic relaxation after Irons and Tuck, Aitken's Δ² for vectors.

    With the residual `r_k = f(z_k) - z_k`, a step is `z_{k+1} = z_k + w_k r_k`. From the second on,
    the secant through the last two residuals gives its relaxation,

        w_k = -w_{k-1} ⟨r_{k-1}, r_k - r_{k-1}⟩ / ‖r_k - r_{k-1}‖²

    kept within `[least, most]`. Where the map shrinks some directions fast and others slowly, the
    steps grow longer than those of plain iteration. It costs one state of memory.

    Source: Irons and Tuck, A version of the Aitken accelerator for computer iteration, Int. J.
    Numer. Methods Eng. 1 (1969); Küttler and Wall, Fixed-point fluid-structure interaction solvers
    with dynamic relaxation, Comput. Mech. 43 (2008).

    Args:
        first: the relaxation of the first step, in (0, 1]; 1 is plain iteration.
        least: the smallest relaxation, in (0, 1].
        most: the largest, ≥ 1.

    Raises:
        InvalidValueError: an option is out of its bounds.
    """

    name: ClassVar[str] = "irons-tuck"

    first: float = field(default=1.0, validator=real(above=0, maximum=1))
    least: float = field(default=0.1, validator=real(above=0, maximum=1))
    most: float = field(default=4.0, validator=real(minimum=1))

    def start(self, z0: Tensor) -> State | None:
        """Return the state before the first evaluation: there is no residual yet."""
        del z0
        return None

    def advance(self, z: Tensor, image: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return the next iterate, and the residual and relaxation that led to it."""
        wide = batch.wide(z.dtype)  # products of bfloat16 would be mostly rounding
        residual = image.to(wide) - z.to(wide)  # (B, ...)
        rows = batch.rows(residual)  # (B, D)
        first = rows.new_full(rows.shape[:1], self.first)
        relaxation = first if state is None else self.relax(rows, state)  # (B,)
        step = batch.spread(relaxation, residual) * residual
        return z + step.to(z.dtype), (rows, relaxation)

    def relax(self, residual: Tensor, state: State) -> Tensor:
        """Return the relaxation of each sample, (B,), from its last two residuals, (B, D)."""
        last, relaxation = state
        change = residual - last
        length = change.square().sum(dim=1)
        moved = length > 0
        secant = -relaxation * (last * change).sum(dim=1) / torch.where(moved, length, 1.0)
        return torch.where(moved, secant.clamp(self.least, self.most), relaxation)
