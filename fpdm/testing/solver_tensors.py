"""Laws of a solver: the tensors that it is given, that it returns, and their gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fpdm.interfaces import FixedPointSolver
from fpdm.testing.laws import quick, reports_each_sample, undisturbed
from fpdm.testing.problems import network
from fpdm.testing.strategies import seeds

SHAPES = ((), (3,), (1, 5), (0, 4), (2, 0), (2, 3, 4), (2, 3, 4, 2))


def keeps_shape_dtype_and_memory_format(solver: FixedPointSolver) -> None:
    """The value has the shape, dtype and memory format of the start, whatever they are."""
    starts = [
        torch.zeros(shape, dtype=dtype)
        for shape in SHAPES
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    ]
    channels_last = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    starts += [channels_last, torch.randn(6, 8)[::2, ::2], torch.randn(4, 3).T]
    for x0 in starts:
        for evals in (0, 1, 4):
            solution = solver.solve(_typed(half_cosine, x0), x0, evals=evals)
            value, said = solution.value, f"{tuple(x0.shape)} {x0.dtype} {x0.stride()}"
            assert value.shape == x0.shape, f"{said} became {tuple(value.shape)}."
            assert value.dtype == x0.dtype, f"{said} became {value.dtype}."
            allowed = (x0.stride(), torch.empty_like(x0).stride())  # a copy has no gaps
            assert value.stride() in allowed, f"{said} came back with strides {value.stride()}."
            reports_each_sample(solution, x0)
        contiguous = solver.solve(half_cosine, x0.contiguous(), evals=4).value
        torch.testing.assert_close(solution.value, contiguous, rtol=1e-2, atol=1e-3)


def leaves_its_arguments_alone(solver: FixedPointSolver) -> None:
    """Neither the start nor what `f` was given or has returned is written to."""
    x0, given_, returned = torch.randn(3, 4), [], []

    def f(z: Tensor) -> Tensor:
        image = half_cosine(z)
        given_.append((z, z.clone()))
        returned.append((image, image.clone()))
        return image

    with torch.no_grad():
        undisturbed(lambda: solver.solve(f, x0, evals=9), x0)
    for what, pairs in (("An argument", given_), ("An image", returned)):
        for tensor, copy in pairs:
            assert torch.equal(tensor, copy), f"{what} of f was overwritten."


def is_differentiable(solver: FixedPointSolver) -> None:
    """Autograd goes through the solve, and agrees with finite differences."""

    def check_shape(shape: tuple[int, ...], seed: int, evals: int) -> None:
        problem = network(shape, factor=0.7, seed=seed)
        matrix, offset = (parameter.requires_grad_() for parameter in problem.parameters)

        def solve(matrix: Tensor, offset: Tensor, x0: Tensor) -> Tensor:
            moved = evolve(problem, parameters=(matrix, offset))
            return solver.solve(moved.f, x0, evals=evals).value

        x0 = problem.x0.clone().requires_grad_()
        assert torch.autograd.gradcheck(solve, (matrix, offset, x0), atol=1e-5, rtol=1e-3)

    @quick
    @given(seed=seeds, evals=st.sampled_from([1, 2, 3, 5]))
    def run(seed: int, evals: int) -> None:
        check_shape((2, evals + 2), seed, evals)

    run()
    check_shape((1, 10), seed=0, evals=8)
    weight = torch.full((2, 3), 0.5, requires_grad=True)
    value = solver.solve(lambda z: (weight * z).cos(), torch.zeros(2, 3), evals=20, tol=1e-2).value
    assert value.requires_grad, "With a tolerance the value carries no gradient."


def has_a_gradient_past_convergence(solver: FixedPointSolver) -> None:
    """The gradient stays finite where the solve has long converged."""
    weight = torch.tensor([[0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    offset = torch.tensor([[-1.0, 2.0]], dtype=torch.float64)
    for evals in (4, 7, 60):
        x0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        solution = solver.solve(lambda z: weight * z + offset, x0, evals=evals)
        (gradient,) = torch.autograd.grad(solution.value.sum(), weight)
        assert gradient.isfinite().all(), f"It is {gradient.tolist()} after {evals} evaluations."


def gives_the_same_with_and_without_gradients(solver: FixedPointSolver) -> None:
    """Whether gradients are on does not change the value."""
    problem = network((3, 9), factor=0.7, seed=0)
    with torch.no_grad():
        off = solver.solve(problem.f, problem.x0, evals=7).value
    on = solver.solve(problem.f, problem.x0.clone().requires_grad_(), evals=7).value
    torch.testing.assert_close(on.detach(), off, rtol=1e-7, atol=1e-7)


def half_cosine(z: Tensor) -> Tensor:
    """Return `cos(z) / 2`, shaped like `z`: a contraction by ½ at the most.

    Args:
        z: of any shape.
    """
    return 0.5 * z.cos()


def _typed(f: Callable[[Tensor], Tensor], x0: Tensor) -> Callable[[Tensor], Tensor]:
    """The map, which is only asked of states like the start."""

    def asked(z: Tensor) -> Tensor:
        like = z.shape == x0.shape and z.dtype == x0.dtype
        assert like, f"f was asked of {tuple(z.shape)} {z.dtype}, not {tuple(x0.shape)} {x0.dtype}."
        return f(z)

    return asked
