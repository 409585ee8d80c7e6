"""The laws of a fixed-point solver."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import torch
from hypothesis import given

from fpdm.errors import InvalidValueError
from fpdm.interfaces import FixedPointSolver
from fpdm.testing.laws import Law, check, quick
from fpdm.testing.problems import Problem, affine, cosine, network
from fpdm.testing.solver_bounds import LARGER, TOLERANCE
from fpdm.testing.solver_counts import (
    counts_exactly,
    keeps_to_what_is_granted_with_a_tolerance,
    refuses_a_bad_call,
    refuses_an_unknown_option,
    reports_what_it_saw,
    returns_the_start_for_nothing,
    stops_each_sample_at_its_tolerance,
    waits_for_nothing,
)
from fpdm.testing.solver_samples import (
    carries_without_harm,
    survives_what_is_not_finite,
    treats_samples_apart,
)
from fpdm.testing.solver_tensors import (
    gives_the_same_with_and_without_gradients,
    has_a_gradient_past_convergence,
    is_differentiable,
    keeps_shape_dtype_and_memory_format,
    leaves_its_arguments_alone,
)
from fpdm.testing.strategies import dtypes, problems


def check_solver(
    solver: type[FixedPointSolver] | FixedPointSolver,
    *,
    accuracy: float | None = None,
    without: Collection[str] = (),
) -> None:
    """Hold a solver to its contract: counting, convergence, isolation, layout, gradients, errors.

    Args:
        solver: a class that can be built without arguments, or an object with the options to try.
        accuracy: the relative error that 200 evaluations must reach in float64 on a contraction;
            None is 1e-7.
        without: names of laws to leave out, where a solver cannot keep them and says so.

    Raises:
        AssertionError: a law is broken; the message says which.
        InvalidValueError: `without` names a law that there is not.

    Examples:
        >>> import fpdm
        >>> from fpdm.testing import check_solver
        >>> check_solver(type(fpdm.solver("naive")))
    """

    def converges(built: FixedPointSolver) -> None:
        """200 evaluations find the fixed point of a contraction, whatever its shape and dtype."""
        _converges(built, accuracy)

    def stays(built: FixedPointSolver) -> None:
        """Evaluations past convergence do no harm."""
        _stays_where_it_is(built, 1e-5 if accuracy is None else max(accuracy, 1e-5))

    without = [without] if isinstance(without, str) else without
    unknown = set(without) - {law.__name__ for law in LAWS}
    if unknown:
        raise InvalidValueError(
            f"without: no law that may be left out is named {', '.join(sorted(unknown))}. "
            f"Available: {', '.join(law.__name__ for law in LAWS)}."
        )
    laws = [law for law in LAWS if law.__name__ not in without]
    check(solver, base=FixedPointSolver, laws=(converges, stays, *laws))


def _converges(solver: FixedPointSolver, accuracy: float | None) -> None:
    @quick
    @given(problem=problems(least=0, dtypes=dtypes))
    def run(problem: Problem) -> None:
        solution = solver.solve(problem.f, problem.x0, evals=200)
        dtype = problem.x0.dtype
        allowed = TOLERANCE[dtype]
        if accuracy is not None:
            allowed = max(allowed, accuracy)
        error = problem.error(solution.value)
        assert error <= allowed / (1 - problem.factor), f"The error is {error:.1e} in {dtype}."

    run()
    for shape, dtype in product(LARGER, TOLERANCE):
        problem = network(shape, factor=0.5, seed=0, dtype=dtype)
        solution = solver.solve(problem.f, problem.x0, evals=60)
        allowed = max(TOLERANCE[dtype], accuracy or 0) / (1 - problem.factor)
        error, said = problem.error(solution.value), f"{shape} in {dtype}"
        assert error <= allowed, f"The error is {error:.1e} for {said}."
        residual = float(solution.residual.max())
        assert residual <= 10 * allowed, f"The residual stated is {residual:.1e} for {said}."


def _stays_where_it_is(solver: FixedPointSolver, allowed: float) -> None:
    for make in (affine, cosine, network):
        problem = make((3, 4), factor=0.3, seed=1, dtype=torch.float32)
        for evals in (60, 200):
            solution = solver.solve(problem.f, problem.x0, evals=evals)
            assert solution.value.isfinite().all(), f"not finite after {evals} evaluations"
            error = problem.error(solution.value)
            assert error < allowed, f"The error is {error:.1e} after {evals} evaluations."


def solves_what_is_solved(solver: FixedPointSolver) -> None:
    """A constant map is solved, and so is a start at the solution."""
    target = torch.randn(3, 4)
    constant = solver.solve(lambda z: target.expand_as(z), torch.zeros(3, 4), evals=200)
    torch.testing.assert_close(constant.value, target, rtol=1e-3, atol=1e-3)
    there = solver.solve(lambda z: z.clone(), target, evals=9)
    torch.testing.assert_close(there.value, target)
    assert (there.residual == 0).all(), f"residual={there.residual} at the solution"


LAWS: tuple[Law, ...] = (
    counts_exactly,
    returns_the_start_for_nothing,
    leaves_its_arguments_alone,
    treats_samples_apart,
    survives_what_is_not_finite,
    stops_each_sample_at_its_tolerance,
    keeps_to_what_is_granted_with_a_tolerance,
    keeps_shape_dtype_and_memory_format,
    reports_what_it_saw,
    solves_what_is_solved,
    carries_without_harm,
    waits_for_nothing,
    is_differentiable,
    has_a_gradient_past_convergence,
    gives_the_same_with_and_without_gradients,
    refuses_a_bad_call,
    refuses_an_unknown_option,
)
