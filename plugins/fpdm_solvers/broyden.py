"""Broyden's method."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen
from torch import Tensor

from fpdm.checks import flag, real, whole
from fpdm_solvers.differences import Differences
from fpdm_solvers.secants import SecantSolver, with_steps


@frozen
class Broyden(SecantSolver):
    """Broyden's good method with limited rank, for each sample on its own.

    Solves `r(z) = f(z) - z = 0` by `z_{k+1} = z_k - B_k⁻¹ r(z_k)` with `B_0 = -I`, so the first
    step is a plain iteration, and with `s = z_{k+1} - z_k` and `y = r(z_{k+1}) - r(z_k)`,

        B_{k+1} = B_k + (y - B_k s) sᵀ / sᵀs

    All updates together are `B = -I + dF N⁻¹ dZᵀ`, N the upper triangle of `dZᵀ dZ`. By Sherman,
    Morrison and Woodbury, with L the part of `dZᵀ dZ` below the diagonal,

        z_{k+1} = f(z_k) - dF γ,   γ solves (dZᵀ dR + L) γ = dZᵀ r_k

    which is type-I Anderson acceleration but for L. Kept are the `rank` newest updates. A
    quasi-Newton iterate whose residual grew past `safeguard` times the one before is rejected: that
    sample takes the plain step in its place, and `B` learns from the rejected one. The evaluation
    spent on it counts.

    Source: Broyden, A class of methods for solving nonlinear simultaneous equations, Math. Comp.
    19 (1965). The compact form: Byrd, Nocedal and Schnabel, Representations of quasi-Newton
    matrices and their use in limited memory methods, Math. Program. 63 (1994).

    Args:
        rank: the number of updates kept, ≥ 1; 2 rank + 4 states of memory.
        safeguard: the growth of the residual at which an iterate is rejected, ≥ 1.
        carry: whether the updates go on to the next timestep.

    Raises:
        InvalidValueError: an option is not allowed.
    """

    name: ClassVar[str] = "broyden"

    rank: int = field(default=30, validator=whole(minimum=1))
    safeguard: float = field(default=5.0, validator=real(minimum=1))
    carry: bool = field(default=False, validator=flag)

    @property
    def window(self) -> int:
        """The rank."""
        return self.rank

    def border_of(
        self, past: Differences, newest: Tensor, pair: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Test with the steps; a row is `sᵀ dF`, the sum of `sᵀ dR` and `sᵀ dZ`."""
        del pair
        column, row = with_steps(past.dots(newest))
        return row, column, None
