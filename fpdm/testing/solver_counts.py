"""Laws of a solver: what it is granted, what it makes of it, and what it says of that."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from fpdm.counting import Counted, Evaluation
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.interfaces import FixedPointSolver
from fpdm.solution import Status
from fpdm.testing.laws import quick, reports_each_sample
from fpdm.testing.problems import Problem, network
from fpdm.testing.solver_tensors import half_cosine
from fpdm.testing.strategies import dtypes, exact_dtypes, problems

COUNTS = (*range(13), 50, 101)
FINEST = {torch.float64: 1e-9, torch.float32: 1e-4}
"""The tolerances that a contraction reaches in each dtype."""

MOST = 2_000
"""Evaluations within which a contraction is at any of these tolerances."""

WAITS = (
    "aten::_local_scalar_dense",
    "aten::item",
    "aten::nonzero",
    "aten::equal",
    "aten::_linalg_check_errors",
)


def counts_exactly(solver: FixedPointSolver) -> None:
    """Without a tolerance exactly the evaluations granted are made, and stated."""

    @quick
    @given(problem=problems(least=0, dtypes=dtypes), evals=st.sampled_from(COUNTS))
    def run(problem: Problem, evals: int) -> None:
        counted = Counted(problem.f)
        solution = solver.solve(counted, problem.x0, evals=evals)
        assert counted.count == evals, f"{counted.count} evaluations were made of {evals}."
        assert solution.evals == evals, f"{solution.evals} evaluations are stated, not {evals}."
        reports_each_sample(solution, problem.x0)
        assert (solution.status == Status.BUDGET_SPENT).all(), f"status={solution.status}"

    run()
    for evals in COUNTS:
        counted = Counted(torch.cos)
        solver.solve(counted, torch.zeros(2, 3), evals=evals)
        assert counted.count == evals, f"{counted.count} evaluations were made of {evals}."


def returns_the_start_for_nothing(solver: FixedPointSolver) -> None:
    """Zero evaluations return the start, with an infinite residual."""
    x0 = torch.randn(3, 4)
    for tol in (None, 0.1):
        counted = Counted(torch.cos)
        solution = solver.solve(counted, x0, evals=0, tol=tol)
        assert counted.count == 0, f"{counted.count} evaluations were made."
        assert torch.equal(solution.value, x0), "The value is not the start."
        assert solution.residual.isinf().all(), f"residual={solution.residual}"


def reports_what_it_saw(solver: FixedPointSolver) -> None:
    """The residuals stated, relative and absolute, are those of an evaluation that was made."""

    @quick
    @given(
        problem=problems(least=1, dtypes=exact_dtypes),
        evals=st.integers(1, 12),
        tol=st.sampled_from([None, 1e-2]),
    )
    def run(problem: Problem, evals: int, tol: float | None) -> None:
        seen: list[Evaluation] = []

        def f(z: Tensor) -> Tensor:
            image = problem.f(z)
            seen.append(Evaluation(z.detach().clone(), image.detach().clone()))
            return image

        solution = solver.solve(f, problem.x0, evals=evals, tol=tol)
        for name, made in (
            ("residual", [evaluation.residual for evaluation in seen]),
            ("absolute_residual", [evaluation.gap for evaluation in seen]),
        ):
            stated = getattr(solution, name)
            assert not stated.requires_grad, f"{name} carries a gradient."
            distance = (torch.stack(made).double() - stated.double()).abs().amin(dim=0)
            assert (distance <= 1e-3 * stated.double() + 1e-7).all(), (
                f"{name}={stated.tolist()}, but no evaluation had it."
            )

    run()


def stops_each_sample_at_its_tolerance(solver: FixedPointSolver) -> None:
    """With a tolerance each sample stops on its own, at that residual, within the evaluations."""

    @quick
    @given(
        problem=problems(least=2, dtypes=exact_dtypes),
        level=st.floats(0, 1),
    )
    def run(problem: Problem, level: float) -> None:
        most = -math.log10(FINEST[problem.x0.dtype])
        tol = 10.0 ** -(1 + level * (most - 1))
        counted = Counted(problem.f)
        solution = solver.solve(counted, problem.x0, evals=MOST, tol=tol)
        made = counted.count
        assert solution.evals == made, f"{solution.evals} evaluations are stated, {made} were made."
        assert made < MOST, f"made {made} of {MOST} evaluations without reaching {tol=:.1e}."
        assert (solution.status == Status.CONVERGED).all(), f"status={solution.status}"
        assert (solution.residual <= tol).all(), f"residual={solution.residual}"
        for index in range(len(problem.x0)):
            alone = problem.alone(index)
            apart = solver.solve(alone.f, alone.x0, evals=MOST, tol=tol)
            near = 1e-6 if problem.x0.dtype == torch.float64 else 1e-3
            torch.testing.assert_close(solution.value[index], apart.value[0], rtol=near, atol=near)

    run()
    for dtype, tol in FINEST.items():
        problem = network((3, 8), factor=0.9, seed=0, dtype=dtype)
        solution = solver.solve(problem.f, problem.x0, evals=MOST, tol=tol)
        assert (solution.residual <= tol).all(), f"residual={solution.residual} for {tol=}"
    slow = network((3, 8), factor=0.9, seed=0)
    coarse, fine = (solver.solve(slow.f, slow.x0, evals=MOST, tol=tol).evals for tol in (0.1, 1e-6))
    assert coarse < fine, f"{coarse} evaluations for tol=0.1, and {fine} for tol=1e-6."


def keeps_to_what_is_granted_with_a_tolerance(solver: FixedPointSolver) -> None:
    """A tolerance out of reach is not said to be reached, nor are more evaluations made."""

    @quick
    @given(evals=st.integers(1, 6), bad=st.booleans())
    def run(evals: int, bad: bool) -> None:
        problem = network((3, 8), factor=0.9, seed=0)
        counted = Counted(problem.f)

        def f(z: Tensor) -> Tensor:
            image = counted(z)
            if bad and counted.count == 2:
                image = image.clone()
                image[1] = torch.nan
            return image

        solution = solver.solve(f, problem.x0, evals=evals, tol=1e-12)
        assert solution.evals == counted.count <= evals, f"{counted.count} of {evals} were made."
        assert (solution.status != Status.CONVERGED).all(), f"status={solution.status}"
        assert solution.value.isfinite().all(), "The value is not finite."
        if bad and evals > 1:
            assert solution.status[1] == Status.NON_FINITE, f"status={solution.status}"

    run()


def waits_for_nothing(solver: FixedPointSolver) -> None:
    """Without a tolerance no operation waits for the device."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as seen:
        solver.solve(half_cosine, torch.randn(3, 4), evals=8)
    waits = {event.key for event in seen.key_averages()} & set(WAITS)
    assert not waits, f"The profile of a solve has {', '.join(sorted(waits))}."


def refuses_a_bad_call(solver: FixedPointSolver) -> None:
    """Negative evaluations, a tolerance not above 0, an `f` that changes the shape are errors."""
    _refused(lambda: solver.solve(torch.cos, torch.zeros(2), evals=-1), "evals=-1")
    for tol in (0.0, -1.0, math.nan, math.inf):
        with_tol = partial(solver.solve, torch.cos, torch.zeros(2), evals=3, tol=tol)
        _refused(with_tol, f"{tol=}")
    _refused(
        lambda: solver.solve(lambda z: z[:, :1], torch.zeros(2, 3), evals=2),
        "an f that changes the shape",
    )


def refuses_an_unknown_option(solver: FixedPointSolver) -> None:
    """An option that there is not is an error."""
    try:
        type(solver)(no_such_option=1)  # type: ignore[call-arg]
    except (TypeError, FPDMError):
        return
    raise AssertionError("no_such_option=1 was swallowed.")


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except InvalidValueError:
        return
    raise AssertionError(f"{what} was not refused with an InvalidValueError.")
