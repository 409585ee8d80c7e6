"""What a training knows of the Jacobian of `f` at the solution, and what it can add to its loss.

B samples of D numbers each; J is the Jacobian of `f` at the solution of a sample, D × D.

The penalty estimates `‖J‖² / D`, of the Frobenius norm, which bounds the spectral radius from
above: with `eps` standard normal, `E ‖epsᵀ J‖² = ‖J‖²`. Source: Bai, Koltun and Kolter, Stabilizing
equilibrium models by Jacobian regularization, ICML 2021; Hutchinson, A stochastic estimator of the
trace of the influence matrix, 1990.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fpdm import batch
from fpdm.errors import InvalidValueError
from fpdm.models.recomputation import all_kept
from fpdm.solution import Solution
from fpdm.training.config import JacobianConfig
from fpdm.training.draws import chance, noise

PRODUCTS = 40
"""Products for a spectral radius; the growth over the last half of them is averaged."""

ROUNDS = 20
"""Rounds for a spectral norm, of two products each."""


def squared_norm(f: Callable[[Tensor], Tensor], z: Tensor, eps: Tensor) -> Tensor:
    """Estimate `‖J‖² / D` of the Jacobian of `f` at `z`, differentiable in what `f` closes over.

    Args:
        f: maps a tensor to one of its own shape, sample by sample; evaluated once.
        z: where, (B, ...); no gradient flows into it.
        eps: P standard normal probes of each sample, (B, P, ...).

    Returns:
        The mean over the probes, (B,), float32 or wider.
    """
    with torch.enable_grad():
        point, image = _recorded(f, z)
        squares = [
            _product(image, point, probe.to(image), differentiable=True)
            .to(batch.wide(z.dtype))
            .square()
            .flatten(1)
            .mean(dim=1)
            for probe in eps.unbind(1)
        ]
        return torch.stack(squares).mean(dim=0)


@torch.no_grad()
def spectral_radius(
    f: Callable[[Tensor], Tensor], z: Tensor, start: Tensor, *, products: int = PRODUCTS
) -> Tensor:
    """The spectral radius of the Jacobian of `f` at `z`, by power iteration.

    It is the growth of a vector at each product with Jᵀ, whose eigenvalues are those of J: the
    geometric mean over the last half of the products, which settles for pairs of complex numbers
    too, where a Rayleigh quotient does not. Source: Golub and Van Loan, Matrix computations, 2013.

    Args:
        f: maps a tensor to one of its own shape, sample by sample; evaluated once.
        z: where, (B, ...).
        start: random vectors, (B, ...).
        products: with Jᵀ, ≥ 2.

    Returns:
        One radius for each sample, (B,), float32 or wider.

    Examples:
        >>> import torch
        >>> from fpdm.training import spectral_radius
        >>> turn = torch.tensor([[0.0, -0.9], [0.9, 0.0]])
        >>> spectral_radius(lambda z: z @ turn, torch.zeros(1, 2), torch.ones(1, 2))
        tensor([0.9000], dtype=torch.float64)
    """
    with torch.enable_grad():
        point, image = _recorded(f, z)
    vector, grown = start.to(image), []
    for _ in range(products):
        vector = _product(image, point, _unit(vector), differentiable=False).to(image.dtype)
        grown.append(batch.norm(vector).log())
    return torch.stack(grown[products // 2 :]).mean(dim=0).exp()


@torch.no_grad()
def spectral_norm(
    f: Callable[[Tensor], Tensor], z: Tensor, start: Tensor, *, rounds: int = ROUNDS
) -> Tensor:
    """The largest singular value of the Jacobian of `f` at `z`, by power iteration on JᵀJ.

    It is the factor by which `f` may stretch a small distance in one evaluation; where it is below
    1 all over, `f` is a contraction. What is found is never more than the norm, but for rounding.
    A product with J is the derivative of the one with Jᵀ, which is linear. Source: Golub and Van
    Loan, Matrix computations, 2013.

    Args:
        f: maps a tensor to one of its own shape, sample by sample; evaluated once.
        z: where, (B, ...).
        start: random vectors, (B, ...).
        rounds: of a product with J and one with Jᵀ, ≥ 0.

    Returns:
        One norm for each sample, (B,), float32 or wider.

    Examples:
        >>> import torch
        >>> from fpdm.training import spectral_norm
        >>> shear = torch.tensor([[0.5, 0.0], [2.0, 0.5]])
        >>> found = spectral_norm(lambda z: z @ shear, torch.zeros(1, 2), torch.ones(1, 2))
        >>> round(found.item(), 3), round(torch.linalg.matrix_norm(shear, 2).item(), 3)
        (2.118, 2.118)
    """
    with torch.enable_grad():
        point, image = _recorded(f, z)
        dual = torch.zeros_like(image).requires_grad_()
        pulled = _product(image, point, dual, differentiable=True)
        vector = _unit(start.to(image))
        for _ in range(rounds):
            stretched = _product(pulled, dual, vector, differentiable=False)
            back = _product(image, point, _unit(stretched), differentiable=False)
            vector = _unit(back.to(image.dtype))
        return batch.norm(_product(pulled, dual, vector, differentiable=False)).detach()


def _unit(vector: Tensor) -> Tensor:
    """The vector of each sample at a length of 1; one of zeros stays as it is."""
    tiny = torch.finfo(vector.dtype).tiny
    return vector / batch.spread(batch.norm(vector).clamp_min(tiny).to(vector.dtype), vector)


def _recorded(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """A point, and its image with a graph that can be differentiated twice.

    A fused attention cannot, and what is computed again would be so outside of this context.
    """
    point = z.detach().requires_grad_()
    with all_kept(), sdpa_kernel(SDPBackend.MATH):
        return point, f(point)


def _product(image: Tensor, point: Tensor, vector: Tensor, *, differentiable: bool) -> Tensor:
    """`vectorᵀ J`, (B, ...); zero where the image does not depend on the point."""
    if not image.requires_grad:
        return torch.zeros_like(point)
    (found,) = torch.autograd.grad(
        image,
        point,
        vector,
        retain_graph=True,
        create_graph=differentiable,
        materialize_grads=True,
    )
    return found


def is_due(config: JacobianConfig, *, seed: int, step: int) -> bool:
    """Whether the penalty is added at a step, the same in all processes.

    Args:
        config: how often.
        seed: of the training.
        step: of the training, from 0.
    """
    return config.weight > 0 and chance(seed, step, "penalties") < config.frequency


class JacobianWatch:
    """What a [`FixedPointLayer`][fpdm.FixedPointLayer] is given to `watch` its solutions with.

    It evaluates `f` inside of the call of the network, so that what lets processes train together
    sees no more than a longer call. What it draws follows from the places of the samples.

    Args:
        config: what is wanted.
        seed: of the training.
        step: of the training, from 0.
        places: of the B samples in the training.

    Attributes:
        penalty: the mean estimate of `‖J‖² / D`, (), with gradient; None where it is not due.
        radius: the mean spectral radius, (); likewise.
        evals: evaluations of `f` made for them.
    """

    penalty: Tensor | None = None
    radius: Tensor | None = None
    evals = 0

    def __init__(self, config: JacobianConfig, *, seed: int, step: int, places: range) -> None:
        self._config, self._seed, self._places = config, seed, places
        self._penalised = is_due(config, seed=seed, step=step)
        self._measured = bool(config.radius_every) and (step + 1) % config.radius_every == 0

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do at this step."""
        return self._penalised or self._measured

    def __call__(self, f: Callable[[Tensor], Tensor], solution: Solution) -> None:
        """Look at the map at its solution.

        Args:
            f: the map.
            solution: of it, for the B samples.
        """
        z = solution.value.detach()
        if self._penalised:
            probes = (self._config.probes, *z.shape[1:])
            self.penalty = squared_norm(f, z, self._drawn(probes, "jacobian", z)).mean()
            self.evals += 1
        if self._measured:
            start = self._drawn(tuple(z.shape[1:]), "radius", z)
            self.radius = spectral_radius(f, z, start).mean()
            self.evals += 1

    def _drawn(self, shape: tuple[int, ...], row: str, like: Tensor) -> Tensor:
        return noise(self._seed, self._places, shape, row).to(like.device)


def check_watchable(network: Any, config: JacobianConfig) -> None:
    """Check that what is wanted of the Jacobian can be had of a network.

    Args:
        network: that is trained.
        config: what is wanted.

    Raises:
        InvalidValueError: it has no implicit layer, or does not hand on what watches it.
    """
    if not config.wanted:
        return
    kind = type(network).__name__
    if not hasattr(network, "layer"):
        raise InvalidValueError(
            f"jacobian.{config.wanted}: a {kind} has no implicit layer, and no Jacobian at a "
            f"solution; leave it out."
        )
    taken = inspect.signature(network.forward).parameters
    if "watch" not in taken and not any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        raise InvalidValueError(
            f"jacobian.{config.wanted}: a {kind} takes no watch to hand on to its implicit layer: "
            f"let its forward take **solving and hand that on."
        )
