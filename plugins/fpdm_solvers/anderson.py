"""Anderson acceleration."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import choice, flag, real, whole
from fpdm_solvers.differences import IMAGES, RESIDUALS, Differences
from fpdm_solvers.secants import Observed, SecantSolver, with_steps
from fpdm_solvers.systems import solve_symmetric


@frozen
class Anderson(SecantSolver):
    """Anderson acceleration in difference form, for each sample on its own.

    With `r_k = f(z_k) - z_k` and the last m differences `dZ`, `dR`, `dF` of iterates, residuals and
    images,

        type II: γ = argmin ‖r_k - dR γ‖² + ridge ‖diag(‖dR‖) γ‖²
        type I:  γ solves (dZᵀ dR - ridge diag(‖dZ‖²)) γ = dZᵀ r_k
        z_{k+1} = f(z_k) - dF γ - (1 - mixing) (r_k - dR γ)

    The ridge is relative to the length of each difference, so the scale of `f` does not matter.
    An extrapolated iterate whose residual grew past `safeguard` times the one before is rejected:
    that sample takes the step without `γ` from the one before, in type II with an empty history.
    The evaluation spent on it counts. To the ridge of type II the rounding of the products is
    added.

    Source: Walker and Ni, Anderson acceleration for fixed-point iterations, SIAM J. Numer. Anal.
    49 (2011). Type I: Fang and Saad, Two classes of multisecant methods for nonlinear acceleration,
    Numer. Linear Algebra Appl. 16 (2009); Zhang, O'Donoghue and Boyd, Globally convergent type-I
    Anderson acceleration for nonsmooth fixed-point iterations, SIAM J. Optim. 30 (2020).

    Args:
        memory: the number m of differences kept, ≥ 1; 2 m + 4 states of memory.
        mixing: share of the extrapolated residual that is added, in (0, 1].
        ridge: relative regularisation, ≥ 0.
        safeguard: the growth of the residual at which an iterate is rejected, ≥ 1.
        kind: `"II"`, the least-squares form, or `"I"`, the form that approximates the Jacobian
            instead of its inverse.
        carry: whether the differences go on to the next timestep.

    Raises:
        InvalidValueError: an option is not allowed.
    """

    name: ClassVar[str] = "anderson"

    memory: int = field(default=6, validator=whole(minimum=1))
    mixing: float = field(default=1.0, validator=real(above=0, maximum=1))
    ridge: float = field(default=1e-8, validator=real(minimum=0))
    safeguard: float = field(default=2.0, validator=real(minimum=1))
    kind: str = field(default="II", validator=choice("I", "II"))
    carry: bool = field(default=False, validator=flag)

    @property
    def window(self) -> int:
        """The memory."""
        return self.memory

    @property
    def forgets(self) -> bool:
        """Type II starts again after a rejection, type I learns from it."""
        return self.kind == "II"

    def border_of(
        self, past: Differences, newest: Tensor, pair: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Test with the residual differences themselves (type II) or with the steps (type I)."""
        if self.kind == "II":
            products, right = past.with_newest(newest, pair)
            rounding = 4 * torch.finfo(products.dtype).eps  # by which a product may be negative
            products = past.amend(products, by=-self.ridge - rounding)
            return products, products, right
        products = past.dots(newest)
        row = products[:, IMAGES, :, RESIDUALS] - products[:, RESIDUALS, :, RESIDUALS]
        column, with_images = with_steps(products)
        # less ridge ‖dZ‖², which is dZᵀ dF - dZᵀ dR
        return row, past.amend(column, by=-self.ridge, towards=past.own(with_images)), None

    def right_of(self, past: Differences, residual: Tensor) -> Tensor:
        """Test with the same."""
        if self.kind == "II":
            return past.with_residuals(residual)
        return super().right_of(past, residual)

    def weigh(self, matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Solve for `γ`."""
        return (solve_symmetric if self.kind == "II" else super().weigh)(matrix, right)

    @property
    def parts(self) -> slice:
        """The image, and the residual where not all of it is added."""
        return slice(IMAGES if self.mixing == 1 else RESIDUALS, IMAGES + 1)

    def finish(self, mixed: Tensor) -> Tensor:
        """Return the next iterate, with its share of the extrapolated residual."""
        if self.mixing == 1:
            return mixed[:, 0]
        residual, image = mixed.unbind(1)
        return torch.sub(image, residual, alpha=1 - self.mixing)

    def begin_with(self, evaluation: Observed) -> Tensor:
        """Return the first iterate, likewise with its share of the residual."""
        if self.mixing == 1:
            return evaluation.image
        return torch.lerp(evaluation.z, evaluation.image, self.mixing)
