"""The laws of a gradient estimator."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from hypothesis import given
from torch import Tensor

from fpdm.counting import Counted
from fpdm.errors import FPDMError
from fpdm.interfaces import GradientEstimator
from fpdm.plugins import solver
from fpdm.solution import Solution
from fpdm.testing.laws import Law, check, quick, reports_each_sample, undisturbed
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


def returns_a_solution(estimator: GradientEstimator) -> None:
    """A solution like the start, with residual and status for each sample; nothing is touched."""
    for shape, dtype in product(((5, 3), (5, 2, 3), (1, 2, 2, 2)), (torch.float32, torch.float64)):
        weight, start = torch.full(shape, 0.4, dtype=dtype), torch.zeros(shape, dtype=dtype)

        def solve(weight: Tensor = weight, start: Tensor = start) -> Solution:
            return estimator.solve(_map(weight), start, solver("naive"), _draws(0))

        undisturbed(solve, weight, start)
        made = solve()
        reports_each_sample(made, start)
        assert made.value.shape == shape, f"{shape} became {tuple(made.value.shape)}."
        assert made.value.dtype == dtype, f"{dtype} became {made.value.dtype}."
        assert made.residual.isfinite().all(), f"residual={made.residual}"
        assert not made.residual.requires_grad, "residual carries a gradient."


def comes_nearer(estimator: GradientEstimator) -> None:
    """The value is no farther from the fixed point than one plain evaluation brings it."""
    weight = _weight().detach()
    fixed, plain = _fixed_point(weight), _map(weight)(torch.zeros_like(weight))
    off, allowed = ((each - fixed).abs() for each in (_solve(estimator, weight).value, plain))
    assert (off <= allowed + 1e-6).all(), f"It is off by {off.max():.1e}, of {allowed.max():.1e}."


def treats_samples_apart(estimator: GradientEstimator) -> None:
    """The value and the gradient of a sample depend on that sample alone."""
    weight = torch.linspace(0.2, 0.6, 18, dtype=torch.float64).reshape(6, 3).requires_grad_()
    together = _solve(estimator, weight).value
    for index in range(6):
        (slopes,) = torch.autograd.grad(together[index].sum(), weight, retain_graph=True)
        one = weight.detach()[index : index + 1].clone().requires_grad_()
        alone = _solve(estimator, one).value
        (slope,) = torch.autograd.grad(alone.sum(), one)
        torch.testing.assert_close(together[index], alone[0], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(slopes[index], slope[0], rtol=1e-5, atol=1e-8)
        others = torch.cat([slopes[:index], slopes[index + 1 :]])
        assert not others.any(), f"The gradient of sample {index} reaches others."


def draws_without_a_generator(estimator: GradientEstimator) -> None:
    """It also solves without a generator of one's own."""
    weight = _weight()
    made = estimator.solve(_map(weight), torch.zeros_like(weight), solver("naive"))
    assert made.value.requires_grad, "The value carries no gradient."


def carries_a_gradient(estimator: GradientEstimator) -> None:
    """The value of `z = tanh(w z + 1)` gets a gradient by `w` of the right sign and size."""
    weight = _weight()
    value = _solve(estimator, weight).value
    assert value.requires_grad, "The value carries no gradient."
    (gradient,) = torch.autograd.grad(value.sum(), weight)
    assert gradient.isfinite().all(), f"{gradient}"
    assert (gradient > 0).all(), f"{gradient}, but the fixed point grows with w."
    z = _fixed_point(weight.detach())
    exact = z * (1 - z**2) / (1 - weight.detach() * (1 - z**2))
    assert (gradient < 4 * exact).all(), f"{gradient}, but the exact one is {exact}."


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
    counted = Counted(_map(weight))
    with torch.no_grad():
        made = estimator.solve(counted, torch.zeros_like(weight), solver("naive"), _draws(0))
    assert made.evals == counted.count, f"{made.evals} stated, {counted.count} made."
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
    returns_a_solution,
    states_its_evaluations,
    comes_nearer,
    carries_a_gradient,
    draws_from_its_generator,
    treats_samples_apart,
    draws_without_a_generator,
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


def _fixed_point(weight: Tensor) -> Tensor:
    z = torch.zeros_like(weight)
    for _ in range(60):
        z = _map(weight)(z)
    return z


def _draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
