"""Anderson acceleration."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm import batch
from fpdm.checks import real, whole
from fpdm.iteration import IterativeSolver


@frozen(eq=False)
class History:
    """What Anderson remembers: the last trusted evaluation, and differences, oldest first.

    Attributes:
        image: `f(z)` of the last trusted iterate, (B, ...).
        residual: `f(z) - z` of the same.
        size: its norm, (B,).
        accelerated: whether the iterate made from it was extrapolated, (B,).
        d_images: differences of successive images, up to `memory` of (B, ...).
        d_residuals: differences of successive residuals.
        gram: inner products of `d_residuals`, (B, m, m); zero where a sample has forgotten one.
    """

    image: Tensor
    residual: Tensor
    size: Tensor
    accelerated: Tensor
    d_images: tuple[Tensor, ...]
    d_residuals: tuple[Tensor, ...]
    gram: Tensor


@frozen
class Anderson(IterativeSolver):
    """Anderson acceleration, type II, in difference form, for each sample on its own.

    With `r_k = f(z_k) - z_k` and the last m differences `dR`, `dF` of residuals and images,

        γ = argmin ‖r_k - dR γ‖² + ridge ‖diag(‖dR‖) γ‖²
        z_{k+1} = f(z_k) - dF γ - (1 - mixing) (r_k - dR γ)

    The ridge is relative to the length of each difference, so the scale of `f` does not matter.
    An extrapolated iterate whose residual grew past `safeguard` times the one before is rejected:
    that sample goes on from the last image it trusted, with an empty history. The evaluation spent
    on it counts.

    Source: Walker and Ni, Anderson acceleration for fixed-point iterations, SIAM J. Numer. Anal.
    49 (2011).

    Args:
        memory: the number m of differences kept, ≥ 1.
        mixing: share of the extrapolated residual that is added, in (0, 1].
        ridge: relative regularisation of the least squares, ≥ 0.
        safeguard: the growth of the residual at which an iterate is rejected, ≥ 1.
    """

    name: ClassVar[str] = "anderson"

    memory: int = field(default=5, validator=whole(minimum=1))
    mixing: float = field(default=1.0, validator=real(above=0, high=1))
    ridge: float = field(default=1e-8, validator=real(low=0))
    safeguard: float = field(default=2.0, validator=real(low=1))

    def start(self, z0: Tensor) -> None:
        """Begin without a past."""

    def advance(self, z: Tensor, image: Tensor, state: History | None) -> tuple[Tensor, History]:
        """Remember the newest differences, then extrapolate."""
        residual = image - z
        size = batch.norm(residual.detach())
        if state is None:
            gram = size.new_zeros(len(size), 0, 0)
            return self._mix(image, residual), History(
                image, residual, size, torch.zeros_like(size, dtype=torch.bool), (), (), gram
            )

        d_images = (*state.d_images, image - state.image)[-self.memory :]
        d_residuals = (*state.d_residuals, residual - state.residual)
        rejected = state.accelerated & (size > self.safeguard * state.size)
        gram = _extend(state.gram, d_residuals, rejected)[:, -self.memory :, -self.memory :]
        d_residuals = d_residuals[-self.memory :]
        image = batch.select(rejected, state.image, image)
        residual = batch.select(rejected, state.residual, residual)
        size = torch.where(rejected, state.size, size)

        gamma = self._least_squares(gram, d_residuals, residual)  # (B, m)
        history = History(
            image, residual, size, (gamma != 0).any(dim=1), d_images, d_residuals, gram
        )
        for weight, d_image, d_residual in zip(
            gamma.unbind(dim=1), d_images, d_residuals, strict=True
        ):
            image = image - batch.spread(weight, z) * d_image
            if self.mixing != 1:
                residual = residual - batch.spread(weight, z) * d_residual
        return self._mix(image, residual), history

    def _mix(self, image: Tensor, residual: Tensor) -> Tensor:
        return image if self.mixing == 1 else image - (1 - self.mixing) * residual

    def _least_squares(
        self, gram: Tensor, d_residuals: tuple[Tensor, ...], residual: Tensor
    ) -> Tensor:
        """Solve the regularised normal equations of unit columns; (B, m), zeros where they fail."""
        lengths = gram.diagonal(dim1=1, dim2=2)
        known = lengths > 0
        scale = torch.where(known, lengths, 1).rsqrt().double()
        matrix = scale[:, :, None] * gram.double() * scale[:, None, :]
        matrix = matrix + torch.where(known, self.ridge, 1.0).double().diag_embed()
        against = torch.stack([batch.dot(d, residual) for d in d_residuals], dim=1)
        solved, _ = torch.linalg.solve_ex(
            matrix, (scale * torch.where(known, against, 0).double())[:, :, None]
        )
        gamma = scale * solved[:, :, 0]
        return torch.where(gamma.isfinite().all(dim=1, keepdim=True), gamma, 0)


def _extend(gram: Tensor, d_residuals: tuple[Tensor, ...], rejected: Tensor) -> Tensor:
    """Add the row and column of the newest difference; a rejected sample forgets all of them.

    Args:
        gram: (B, m, m).
        d_residuals: m + 1 differences, the newest last.
        rejected: (B,).
    """
    newest = d_residuals[-1]
    kept = ~rejected
    row = torch.stack([batch.dot(other, newest) for other in d_residuals], dim=1)  # (B, m + 1)
    known = torch.cat([gram.diagonal(dim1=1, dim2=2) > 0, kept[:, None]], dim=1)
    row = torch.where(known & kept[:, None], row, 0)
    gram = torch.where(kept[:, None, None], gram, 0)
    gram = torch.cat([gram, row[:, :-1, None]], dim=2)
    return torch.cat([gram, row[:, None, :]], dim=1)
