"""The laws of a gradient estimator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given
from torch import Tensor

from fpdm.counting import Counted
from fpdm.errors import FPDMError
from fpdm.interfaces import GradientEstimator
from fpdm.plugins import solver
from fpdm.solution import Solution
from fpdm.testing.laws import Law, check, quick
from fpdm.testing.strategies import seeds


def check_gradient(gradient: type[GradientEstimator] | GradientEstimator) -> None:
    """Hold a gradient estimator to its contract: honest counts, gradients, reproducible draws.

    Args:
        gradient: a class that can be built without arguments, or an object.

    Raises:
        AssertionError: a law is broken; the message says which.
    """
    check(gradient, base=GradientEstimator, laws=LAWS)


def states_its_evaluations(estimator: GradientEstimator) -> None:
    """The evaluations stated are those made, and at least one."""

    @quick
    @given(seed=seeds)
    def run(seed: int) -> None:
        weight, counted = _weight(), Counted(_map(_weight()))
        made = estimator.solve(counted, torch.zeros_like(weight), solver("naive"), _draws(seed))
        assert made.evals == counted.count >= 1, f"{made.evals} stated, {counted.count} made."

    run()


def carries_a_gradient(estimator: GradientEstimator) -> None:
    """The value of `z = tanh(w z + 1)` gets a gradient by `w` that points the right way."""
    weight = _weight()
    value = _solve(estimator, weight).value
    assert value.requires_grad, "The value carries no gradient."
    (gradient,) = torch.autograd.grad(value.sum(), weight)
    assert gradient.isfinite().all(), f"{gradient}"
    assert (gradient > 0).all(), f"{gradient}, but the fixed point grows with w."


def draws_from_its_generator(estimator: GradientEstimator) -> None:
    """The same generator gives the same solution, and the same evaluations."""

    @quick
    @given(seed=seeds)
    def run(seed: int) -> None:
        weight = _weight()
        first, second = (_solve(estimator, weight, seed) for _ in range(2))
        assert first.evals == second.evals, f"{first.evals}, then {second.evals} evaluations"
        assert torch.equal(first.value, second.value), "The values differ."

    run()


def allows_two_forwards_before_a_backward(estimator: GradientEstimator) -> None:
    """Two solves may come before one backward pass, and give the sum of both gradients."""
    weight = _weight()

    def value(scale: float) -> Tensor:
        return _solve(estimator, scale * weight, 3).value.sum()

    (both,) = torch.autograd.grad(value(1.0) + value(0.5), weight)
    apart = [torch.autograd.grad(value(scale), weight)[0] for scale in (1.0, 0.5)]
    torch.testing.assert_close(both, apart[0] + apart[1])


def solves_where_gradients_are_off(estimator: GradientEstimator) -> None:
    """Under `torch.no_grad()` it solves, and the value carries no gradient."""
    weight = _weight()
    with torch.no_grad():
        made = _solve(estimator, weight)
    assert not made.value.requires_grad, "The value carries a gradient."


def differentiates_twice_or_says_so(estimator: GradientEstimator) -> None:
    """A second derivative is right where the first is exact, or refused with an error of ours."""
    weight = _weight()
    value = _solve(estimator, weight).value
    try:
        (first,) = torch.autograd.grad(value.sum(), weight, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), weight)
    except FPDMError:
        return
    assert second.isfinite().all(), f"{second}"


LAWS: tuple[Law, ...] = (
    states_its_evaluations,
    carries_a_gradient,
    draws_from_its_generator,
    allows_two_forwards_before_a_backward,
    solves_where_gradients_are_off,
    differentiates_twice_or_says_so,
)


def _solve(estimator: GradientEstimator, weight: Tensor, seed: int = 0) -> Solution:
    start = torch.zeros_like(weight)
    return estimator.solve(_map(weight), start, solver("naive"), _draws(seed))


def _weight() -> Tensor:
    return torch.linspace(0.2, 0.6, 6, dtype=torch.float64).reshape(2, 3).requires_grad_()


def _map(weight: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.tanh(weight * z + 1)


def _draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
