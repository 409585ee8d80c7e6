"""What each gradient estimator lets through, against dense linear algebra and plain loops."""

import pytest
import torch
from attrs import field, frozen
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.counting import Counted
from fpdm.testing.strategies import seeds
from tests.built_ins import built_ins

SOLVERS = built_ins()["solver"]
GRADIENTS = built_ins()["gradient"]


CONVERGED = 1e-14
"""A relative residual that is rounding in float64."""


@frozen
class Recorded:
    """A solver whose solutions are kept, those of the backward pass too."""

    solver: fpdm.FixedPointSolver
    solutions: list[fpdm.Solution] = field(factory=list)

    def solve(self, f, x0, **options):
        self.solutions.append(self.solver.solve(f, x0, **options))
        return self.solutions[-1]

    def converged(self) -> bool:
        return all((each.residual <= CONVERGED).all() for each in self.solutions)


def affine_map(seed: int, batch: int = 2, size: int = 4, factor: float = 0.7):
    """A, b and z0 of `A z + b`, all float64 and asking for gradients."""
    rng = torch.Generator().manual_seed(seed)
    matrix = torch.randn(batch, size, size, dtype=torch.float64, generator=rng)
    matrix = factor * matrix / torch.linalg.matrix_norm(matrix, ord=2)[:, None, None]
    offset = torch.randn(batch, size, dtype=torch.float64, generator=rng)
    start = torch.randn(batch, size, dtype=torch.float64, generator=rng)
    return tuple(t.requires_grad_() for t in (matrix, offset, start))


def apply(matrix, offset, z):
    return (matrix @ z[:, :, None])[:, :, 0] + offset


@pytest.mark.parametrize(
    ("solver", "evals"),
    [("naive", 150), ("anderson", 50), ("broyden", 50), ("torchdeq-broyden", 50)],
)
@given(seed=seeds, factor=st.floats(0.1, 0.8))
@example(seed=409, factor=0.6878000000000001)  # the adjoint equation, by torchdeq
def test_implicit_equals_the_dense_linear_solve(solver, evals, seed, factor):
    matrix, offset, start = affine_map(seed, factor=factor)
    rng = torch.Generator().manual_seed(seed + 1)
    weight = torch.randn(offset.shape, dtype=torch.float64, generator=rng)
    estimator = fpdm.gradient("implicit", evals=evals, backward_evals=evals)
    by = Recorded(fpdm.solver(solver))
    solution = estimator.solve(lambda z: apply(matrix, offset, z), start, by, None)
    got = torch.autograd.grad((solution.value * weight).sum(), (matrix, offset))
    if solver.startswith("torchdeq"):  # whose Broyden, on rare numbers, leaves what it has found
        assume(by.converged())
    assert len(by.solutions) == 3  # two on the way, and the adjoint equation

    identity = torch.eye(4, dtype=torch.float64)
    exact = torch.linalg.solve(identity - matrix, offset)
    torch.testing.assert_close(solution.value, exact, rtol=0, atol=1e-10)
    expected = torch.autograd.grad((exact * weight).sum(), (matrix, offset))
    for ours, dense in zip(got, expected, strict=True):
        assert (ours - dense).abs().max() <= 1e-10


def test_implicit_is_right_for_a_damped_solver_and_under_two_forwards():
    matrix, offset, start = affine_map(3)
    solver = fpdm.solver("naive", damping=0.5)
    estimator = fpdm.gradient("implicit", evals=300, backward_evals=300)
    first = estimator.solve(lambda z: apply(matrix, offset, z), start, solver, None).value
    second = estimator.solve(lambda z: apply(matrix, 2 * offset, z), start, solver, None).value
    (got,) = torch.autograd.grad((first + second).sum(), offset)
    exact = torch.linalg.solve(torch.eye(4, dtype=torch.float64) - matrix, offset)
    (expected,) = torch.autograd.grad(3 * exact.sum(), offset)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-8)


def test_implicit_keeps_one_evaluation_for_the_backward_pass_however_deep():
    def saved(evals: int) -> int:
        matrix, offset, start = affine_map(0)
        estimator = fpdm.gradient("implicit", evals=evals)
        return bytes_saved(
            lambda: estimator.solve(
                lambda z: apply(matrix, offset, z).tanh(), start, fpdm.solver("naive"), None
            )
        )

    assert saved(2) == saved(40) > 0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("evals", [1, 2, 4, 6])
@given(seed=st.integers(0, 2**20))
@settings(max_examples=4)
def test_unrolled_passes_gradcheck_with_every_solver(solver, evals, seed):
    # with more differences than dimensions the least squares have no derivative to compare with
    matrix, offset, start = affine_map(seed, batch=2, size=max(3, evals))

    def solve(matrix, offset, start):
        estimator = fpdm.gradient("unrolled", evals=evals)
        f = lambda z: apply(matrix, offset, z).tanh()  # noqa: E731
        return estimator.solve(f, start, fpdm.solver(solver), None).value

    assert torch.autograd.gradcheck(solve, (matrix, offset, start), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("solver", ["naive", "anderson", "broyden"])
def test_unrolled_can_be_differentiated_twice(solver):
    matrix, offset, start = affine_map(0, batch=2, size=4)

    def solve(matrix, offset):
        f = lambda z: apply(matrix, offset, z).tanh()  # noqa: E731
        return fpdm.gradient("unrolled", evals=4).solve(f, start, fpdm.solver(solver), None).value

    assert torch.autograd.gradgradcheck(solve, (matrix, offset), atol=1e-4, rtol=1e-3)


@given(seed=seeds, no_grad=st.integers(0, 6), grad=st.integers(1, 6))
def test_sjfb_equals_a_hand_written_loop(seed, no_grad, grad):
    matrix, offset, start = affine_map(seed)

    def f(z):
        return apply(matrix, offset, z).tanh()

    estimator = fpdm.gradient("sjfb", max_no_grad=no_grad, max_grad=grad)
    n, m = estimator.draw(torch.Generator().manual_seed(seed))
    counted = Counted(f)
    solution = estimator.solve(
        counted, start, fpdm.solver("naive"), torch.Generator().manual_seed(seed)
    )
    assert counted.count == solution.evals == n + m
    z = start
    with torch.no_grad():
        for _ in range(n):
            z = f(z)
    z = z.detach()
    for _ in range(m):
        z = f(z)
    assert torch.equal(solution.value, z)
    ours = torch.autograd.grad(solution.value.sum(), (matrix, offset))
    plain = torch.autograd.grad(z.sum(), (matrix, offset))
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))


@given(n=st.integers(0, 4), m=st.integers(1, 4), seed=st.integers(0, 1000))
def test_sjfb_draws_all_its_counts_and_no_others(n, m, seed):
    estimator = fpdm.gradient("sjfb", max_no_grad=n, max_grad=m)
    generator = torch.Generator().manual_seed(seed)
    draws = [estimator.draw(generator) for _ in range(200)]
    assert {no_grad for no_grad, _ in draws} == set(range(n + 1))
    assert {grad for _, grad in draws} == set(range(1, m + 1))
    assert estimator.draw(generator.manual_seed(seed)) == draws[0]


def bytes_saved(forward) -> int:
    """Bytes of tensors kept for the backward pass of `forward`."""
    total = 0

    def pack(tensor):
        nonlocal total
        total += tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward()
    assert kept.value.requires_grad
    return total


@pytest.mark.parametrize("solver", ["naive", "anderson", "broyden"])
def test_sjfb_keeps_nothing_of_the_iterations_without_gradient(solver):
    matrix, offset, start = affine_map(1)

    class Fixed(type(fpdm.gradient("sjfb"))):
        def draw(self, generator=None):
            del generator
            return self.max_no_grad, self.max_grad

    def saved(no_grad: int, grad: int) -> int:
        return bytes_saved(
            lambda: Fixed(max_no_grad=no_grad, max_grad=grad).solve(
                lambda z: apply(matrix, offset, z).tanh(), start, fpdm.solver(solver), None
            )
        )

    assert saved(0, 3) == saved(5, 3) >= saved(40, 3) > 0  # what is solved has less to learn
    assert saved(0, 6) > saved(0, 3)


@given(seed=seeds, no_grad=st.integers(0, 5))
def test_jfb_is_one_iteration_with_gradient(seed, no_grad):
    matrix, offset, start = affine_map(seed)
    solution = fpdm.gradient("jfb", no_grad=no_grad).solve(
        lambda z: apply(matrix, offset, z), start, fpdm.solver("naive"), None
    )
    (got,) = torch.autograd.grad(solution.value.sum(), offset)
    assert torch.equal(got, torch.ones_like(offset))
    assert solution.evals == no_grad + 1


@given(seed=seeds, grad=st.integers(1, 5), damping=st.floats(0.1, 1.0))
def test_phantom_is_a_damped_neumann_series(seed, grad, damping):
    matrix, offset, start = affine_map(seed)
    solution = fpdm.gradient("phantom", no_grad=3, grad=grad, damping=damping).solve(
        lambda z: apply(matrix, offset, z), start, fpdm.solver("naive"), None
    )
    (got,) = torch.autograd.grad(solution.value.sum(), offset)
    step = damping * matrix.detach() + (1 - damping) * torch.eye(4, dtype=torch.float64)
    series = sum(damping * torch.linalg.matrix_power(step.mT, k) for k in range(grad))
    torch.testing.assert_close(got, series.sum(dim=2))
    assert solution.evals == 3 + grad


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_start_gets_a_gradient_only_when_unrolled(name):
    matrix, offset, start = affine_map(2)
    solution = fpdm.gradient(name).solve(
        lambda z: apply(matrix, offset, z), start, fpdm.solver("naive"), None
    )
    by_matrix, by_start = torch.autograd.grad(
        solution.value.sum(), (matrix, start), allow_unused=True
    )
    assert by_matrix.abs().sum() > 0
    assert (by_start is not None) == (name == "unrolled")


@pytest.mark.parametrize("name", GRADIENTS)
def test_an_estimator_also_solves_where_gradients_are_off(name):
    matrix, offset, start = affine_map(2, factor=0.3)
    with torch.no_grad():
        solution = fpdm.gradient(name).solve(
            lambda z: apply(matrix, offset, z), start, fpdm.solver("naive"), None
        )
    assert not solution.value.requires_grad


def test_second_derivatives_of_implicit_are_refused():
    matrix, offset, start = affine_map(2, factor=0.3)
    solution = fpdm.gradient("implicit").solve(
        lambda z: apply(matrix, offset, z), start, fpdm.solver("naive"), None
    )
    with pytest.raises(fpdm.errors.GradientError, match="leave out create_graph"):
        torch.autograd.grad(solution.value.sum(), offset, create_graph=True)
