"""The laws of a fixed-point solver."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from itertools import product

import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from fpdm.counting import Counted
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.interfaces import FixedPointSolver
from fpdm.iteration import Evaluation
from fpdm.solution import Status
from fpdm.testing.laws import Law, check, quick, reports_each_sample, tensors, undisturbed
from fpdm.testing.problems import Problem, affine, cosine, network
from fpdm.testing.strategies import dtypes, exact_dtypes, problems, seeds

COUNTS = (*range(13), 50, 101)
LARGER = ((6,), (6, 70), (6, 5, 4), (6, 3, 2, 5))
"""Shapes of more samples, and of more numbers for each, than Hypothesis draws."""

FINEST = {torch.float64: 1e-9, torch.float32: 1e-4}
"""The tolerances that a contraction reaches in each dtype."""

SHAPES = ((), (3,), (1, 5), (0, 4), (2, 0), (2, 3, 4), (2, 3, 4, 2))
TOLERANCE = {torch.float64: 1e-7, torch.float32: 2e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}
WAITS = (
    "aten::_local_scalar_dense",
    "aten::item",
    "aten::nonzero",
    "aten::equal",
    "aten::_linalg_check_errors",
)


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
        solution = solver.solve(counted, problem.x0, evals=2000, tol=tol)
        assert solution.evals == counted.count < 2000, f"{solution.evals}, {counted.count}"
        assert (solution.status == Status.CONVERGED).all(), f"status={solution.status}"
        assert (solution.residual <= tol).all(), f"residual={solution.residual}"
        for index in range(len(problem.x0)):
            alone = problem.alone(index)
            apart = solver.solve(alone.f, alone.x0, evals=2000, tol=tol)
            near = 1e-6 if problem.x0.dtype == torch.float64 else 1e-3
            torch.testing.assert_close(solution.value[index], apart.value[0], rtol=near, atol=near)

    run()
    for dtype, tol in FINEST.items():
        problem = network((3, 8), factor=0.9, seed=0, dtype=dtype)
        solution = solver.solve(problem.f, problem.x0, evals=2000, tol=tol)
        assert (solution.residual <= tol).all(), f"residual={solution.residual} for {tol=}"
    slow = network((3, 8), factor=0.9, seed=0)
    coarse, fine = (solver.solve(slow.f, slow.x0, evals=2000, tol=tol).evals for tol in (0.1, 1e-6))
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


def carries_without_harm(solver: FixedPointSolver) -> None:
    """What is carried is left as it is, holds no graph, and keeps the samples apart."""
    if not solver.carry:
        plain = solver.solve(torch.cos, torch.zeros(2, 3), evals=5)
        assert plain.carry is None, "Something is carried, though carry is False."
        return
    problem = network((3, 8), factor=0.8, seed=0)
    x0 = problem.x0.clone().requires_grad_()
    for tol in (None, 1e-2):
        first = solver.solve(problem.f, x0, evals=5, tol=tol)
        assert first.carry is not None, "Nothing is carried, though carry is True."
        for tensor in tensors(first.carry):
            assert not tensor.requires_grad, "The carry holds a graph."
        start = first.value.detach()
        once, again = (
            solver.solve(problem.f, start, evals=3, carry=first.carry)  # type: ignore[call-arg]
            for _ in range(2)
        )
        assert torch.equal(once.value, again.value), "A second use of a carry gives another value."
        assert not once.value.requires_grad, "The carry holds a graph."
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
            solution = solver.solve(_typed(_half_cosine, x0), x0, evals=evals)
            value, said = solution.value, f"{tuple(x0.shape)} {x0.dtype} {x0.stride()}"
            assert value.shape == x0.shape, f"{said} became {tuple(value.shape)}."
            assert value.dtype == x0.dtype, f"{said} became {value.dtype}."
            allowed = (x0.stride(), torch.empty_like(x0).stride())  # a copy has no gaps
            assert value.stride() in allowed, f"{said} came back with strides {value.stride()}."
            reports_each_sample(solution, x0)
        contiguous = solver.solve(_half_cosine, x0.contiguous(), evals=4).value
        torch.testing.assert_close(solution.value, contiguous, rtol=1e-2, atol=1e-3)


def leaves_its_arguments_alone(solver: FixedPointSolver) -> None:
    """Neither the start nor what `f` was given or has returned is written to."""
    x0, given_, returned = torch.randn(3, 4), [], []

    def f(z: Tensor) -> Tensor:
        image = _half_cosine(z)
        given_.append((z, z.clone()))
        returned.append((image, image.clone()))
        return image

    with torch.no_grad():
        undisturbed(lambda: solver.solve(f, x0, evals=9), x0)
    for what, pairs in (("An argument", given_), ("An image", returned)):
        for tensor, copy in pairs:
            assert torch.equal(tensor, copy), f"{what} of f was overwritten."


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


def waits_for_nothing(solver: FixedPointSolver) -> None:
    """Without a tolerance no operation waits for the device."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as seen:
        solver.solve(_half_cosine, torch.randn(3, 4), evals=8)
    waits = {event.key for event in seen.key_averages()} & set(WAITS)
    assert not waits, f"The profile of a solve has {', '.join(sorted(waits))}."


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


def _half_cosine(z: Tensor) -> Tensor:
    return 0.5 * z.cos()


def _typed(f: Callable[[Tensor], Tensor], x0: Tensor) -> Callable[[Tensor], Tensor]:
    """The map, which is only asked of states like the start."""

    def asked(z: Tensor) -> Tensor:
        like = z.shape == x0.shape and z.dtype == x0.dtype
        assert like, f"f was asked of {tuple(z.shape)} {z.dtype}, not {tuple(x0.shape)} {x0.dtype}."
        return f(z)

    return asked


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except InvalidValueError:
        return
    raise AssertionError(f"{what} was not refused with an InvalidValueError.")
