"""Laws of a solver: the samples of a batch are problems apart."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fpdm.interfaces import FixedPointSolver
from fpdm.solution import Status
from fpdm.testing.laws import quick, tensors
from fpdm.testing.problems import Problem, network
from fpdm.testing.solver_bounds import LARGER, TOLERANCE
from fpdm.testing.strategies import exact_dtypes, problems


def treats_samples_apart(solver: FixedPointSolver) -> None:
    """A sample that is solved alone equals the sample in its batch."""

    @quick
    @given(
        problem=problems(least=1, dtypes=exact_dtypes),
        evals=st.integers(1, 8),
        data=st.data(),
    )
    def run(problem: Problem, evals: int, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(problem.x0) - 1))
        _equals_itself_alone(solver, problem, index, evals)

    run()
    for shape in LARGER:
        for index in (0, 5):
            _equals_itself_alone(solver, network(shape, factor=0.6, seed=1), index, evals=6)


def _equals_itself_alone(
    solver: FixedPointSolver, problem: Problem, index: int, evals: int
) -> None:
    alone = problem.alone(index)
    together = solver.solve(problem.f, problem.x0, evals=evals)
    apart = solver.solve(alone.f, alone.x0, evals=evals)
    # rounding differs with the batch size, and an extrapolation near convergence magnifies it
    bound = 50 * TOLERANCE[problem.x0.dtype]
    torch.testing.assert_close(together.value[index], apart.value[0], rtol=bound, atol=bound)


def survives_what_is_not_finite(solver: FixedPointSolver) -> None:
    """A sample whose image is inf or NaN stays finite, is reported, and touches no other."""

    @quick
    @given(
        problem=problems(least=2, dtypes=exact_dtypes),
        at=st.integers(1, 12),
        more=st.integers(0, 3),
        bad=st.sampled_from([torch.nan, torch.inf, -torch.inf]),
        whole=st.booleans(),
        data=st.data(),
    )
    def run(
        problem: Problem, at: int, more: int, bad: float, whole: bool, data: st.DataObject
    ) -> None:
        sick = data.draw(st.integers(0, len(problem.x0) - 1))
        calls = 0

        def f(z: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            image = problem.f(z).clone()
            if calls == at:
                image[sick].view(-1)[: None if whole else 1] = bad
            return image

        undisturbed = solver.solve(problem.f, problem.x0, evals=at + more)
        solution = solver.solve(f, problem.x0, evals=at + more)
        healthy = [index for index in range(len(problem.x0)) if index != sick]
        assert torch.equal(solution.value[healthy], undisturbed.value[healthy]), "others differ"
        assert (solution.status[healthy] == Status.BUDGET_SPENT).all(), f"{solution.status}"
        assert solution.status[sick] == Status.NON_FINITE, f"status={solution.status[sick]}"
        assert solution.value[sick].isfinite().all(), "its value is not finite"

    run()


def carries_without_harm(solver: FixedPointSolver) -> None:
    """What is carried is left as it is, keeps the samples apart, and counts in a gradient."""
    if not solver.carry:
        plain = solver.solve(torch.cos, torch.zeros(2, 3), evals=5)
        assert plain.carry is None, "Something is carried, though carry is False."
        return
    problem = network((3, 8), factor=0.8, seed=0)
    for tol in (None, 1e-2):
        first = solver.solve(problem.f, problem.x0, evals=5, tol=tol)
        assert first.carry is not None, "Nothing is carried, though carry is True."
        for tensor in tensors(first.carry):
            assert not tensor.requires_grad, "The carry holds a graph that nobody asked for."
        once, again = (
            solver.solve(problem.f, first.value, evals=3, carry=first.carry)  # type: ignore[call-arg]
            for _ in range(2)
        )
        assert torch.equal(once.value, again.value), "A second use of a carry gives another value."
        for index in range(3):
            alone = problem.alone(index)
            before = solver.solve(alone.f, alone.x0, evals=5, tol=tol)
            after = solver.solve(
                alone.f,
                before.value,
                evals=3,
                carry=before.carry,  # type: ignore[call-arg]
            )
            torch.testing.assert_close(once.value[index], after.value[0], rtol=1e-6, atol=1e-6)
    _carries_the_gradient(solver)


def _carries_the_gradient(solver: FixedPointSolver) -> None:
    """The derivative of a solve that goes on from another is that of both."""
    problem = network((3, 8), factor=0.8, seed=0, dtype=torch.float64)

    def run(scale: Tensor) -> Tensor:
        first = solver.solve(lambda z: problem.f(z) * scale, problem.x0, evals=3)
        second = solver.solve(
            problem.f,
            first.value,
            evals=2,
            carry=first.carry,  # type: ignore[call-arg]
        )
        return second.value.square().sum()

    scale, step = torch.ones((), dtype=torch.float64, requires_grad=True), 1e-6
    (slope,) = torch.autograd.grad(run(scale), scale)
    with torch.no_grad():
        expected = (run(scale + step) - run(scale - step)) / (2 * step)
    torch.testing.assert_close(
        *(slope, expected),
        rtol=1e-4,
        atol=1e-8,
        msg=lambda found: f"The gradient misses what is carried: {found}",
    )
