"""Broyden's method."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm import batch
from fpdm.checks import real, whole
from fpdm.iteration import IterativeSolver


@frozen(eq=False)
class Inverse:
    """The inverse Jacobian `H = -I + Σ u vᵀ` of `g(z) = f(z) - z`, and where it was last used.

    Attributes:
        z: the last trusted iterate, (B, ...).
        image: `f(z)` there.
        size: `‖g(z)‖` there, (B,).
        accelerated: whether the step from there was more than a plain one, (B,).
        us: the left vectors, oldest first, up to `rank` of (B, ...).
        vs: the right vectors.
    """

    z: Tensor
    image: Tensor
    size: Tensor
    accelerated: Tensor
    us: tuple[Tensor, ...] = ()
    vs: tuple[Tensor, ...] = ()

    def correct(self, g: Tensor) -> Tensor:
        """`(H + I) g`, the part of `H g` that plain iteration lacks."""
        total = torch.zeros_like(g)
        for u, v in zip(self.us, self.vs, strict=True):
            total = total + batch.spread(batch.dot(v, g), g) * u
        return total

    def transpose_correct(self, s: Tensor) -> Tensor:
        """`(H + I)ᵀ s`."""
        total = torch.zeros_like(s)
        for u, v in zip(self.us, self.vs, strict=True):
            total = total + batch.spread(batch.dot(u, s), s) * v
        return total


@frozen
class Broyden(IterativeSolver):
    """Broyden's good method with limited rank, for each sample on its own.

    Solves `g(z) = f(z) - z = 0` by `z_{k+1} = z_k - H_k g(z_k)` with `H_0 = -I`, so the first step
    is a plain iteration, and with `s = z_{k+1} - z_k`, `y = g(z_{k+1}) - g(z_k)`,

        H_{k+1} = H_k + (s - H_k y) (sᵀ H_k) / (sᵀ H_k y)

    The oldest of `rank` updates gives way to the newest. An update with a vanishing denominator is
    skipped. A quasi-Newton iterate whose residual grew past `safeguard` times the one before is
    rejected: `H` learns from it, and the sample goes on from the last iterate it trusted. The
    evaluation spent on it counts.

    Source: Broyden, A class of methods for solving nonlinear simultaneous equations, Math. Comp.
    19 (1965); the inverse form by Sherman and Morrison.

    Args:
        rank: the number of updates kept, ≥ 1.
        safeguard: the growth of the residual at which an iterate is rejected, ≥ 1.
    """

    name: ClassVar[str] = "broyden"

    rank: int = field(default=10, validator=whole(minimum=1))
    safeguard: float = field(default=5.0, validator=real(low=1))

    def start(self, z0: Tensor) -> None:
        """Begin with the identity."""

    def advance(self, z: Tensor, image: Tensor, state: Inverse | None) -> tuple[Tensor, Inverse]:
        """Update the inverse with what the last step showed, then take the next."""
        size = batch.norm((image - z).detach())
        if state is None:
            return image, Inverse(z, image, size, torch.zeros_like(size, dtype=torch.bool))

        us, vs, sound = self._update(state, z, image)
        rejected = state.accelerated & (size > self.safeguard * state.size)
        z = batch.select(rejected, state.z, z)
        image = batch.select(rejected, state.image, image)
        size = torch.where(rejected, state.size, size)
        stuck = rejected & ~sound  # the same step would come again
        inverse = Inverse(z, image, size, ~stuck, us, vs)
        correction = inverse.correct(image - z)
        return image - batch.select(stuck, torch.zeros_like(correction), correction), inverse

    def _update(
        self, state: Inverse, z: Tensor, image: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """The vectors of `H` after the step to `z`, and whether there was something to learn."""
        s = z - state.z
        y = (image - z) - (state.image - state.z)
        v = state.transpose_correct(s) - s
        u = s + y - state.correct(y)  # s - H y
        length = batch.norm(v)
        v = v / batch.spread(torch.where(length > 0, length, 1), v)  # u and v stay near one in size
        curvature = batch.dot(v, y)
        sound = curvature.detach().abs() > torch.finfo(curvature.dtype).eps * batch.norm(y.detach())
        u = u / batch.spread(torch.where(sound, curvature, 1), u)
        u = batch.select(sound, u, torch.zeros_like(u))
        return (*state.us, u)[-self.rank :], (*state.vs, v)[-self.rank :], sound
