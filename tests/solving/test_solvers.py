"""What the laws of `fpdm.testing.check_solver` leave open: edges, options and single solvers."""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fpdm
from fpdm import Status, batch
from fpdm.counting import Counted
from fpdm.errors import FPDMError, InvalidValueError, PluginError
from fpdm.iteration import IterativeSolver
from fpdm.testing import affine, cosine, network
from fpdm.testing.strategies import exact_dtypes, problems, seeds
from tests.built_ins import built_ins

NAMES = built_ins()["solver"]
every_solver = pytest.mark.parametrize("name", NAMES)


def test_a_solver_with_momentum_cannot_move_a_sample_that_is_over():
    class Momentum(IterativeSolver):
        keeps_best = False

        def start(self, z0):
            return z0

        def advance(self, z, image, state):
            del z
            return image + 0.5 * (image - state), image

    good = [0.3, 0.5, 0.6]
    images = iter([*good, torch.nan, torch.nan, torch.nan])
    solution = Momentum().solve(lambda z: torch.full_like(z, next(images)), torch.zeros(1), evals=6)
    assert solution.value.item() == pytest.approx(0.6 + 0.5 * (0.6 - 0.5))
    assert solution.status.item() == Status.NON_FINITE


@every_solver
@given(problem=problems(dtypes=exact_dtypes))
def test_one_evaluation_equals_plain_iteration(name, problem):
    solution = fpdm.solver(name).solve(problem.f, problem.x0, evals=1)
    assert torch.equal(solution.value, problem.f(problem.x0))


@pytest.mark.parametrize("name", ["naive", "anderson", "broyden"])
@given(scale=st.integers(-30, 30), seed=seeds)
def test_every_scale_stays_finite_and_never_converges_for_show(name, scale, seed):
    problem = affine((2, 3), factor=0.5, seed=seed, dtype=torch.float32)
    scaled = 10.0**scale
    solution = fpdm.solver(name).solve(
        lambda z: (scaled * problem.f(z.double() / scaled)).float(),
        (scaled * problem.x0.double()).float(),
        evals=60,
        tol=1e-3,
    )
    assert (solution.status == Status.CONVERGED).all()
    assert problem.error(solution.value.double() / scaled) < 1e-2


@every_solver
@given(seed=seeds, evals=st.integers(1, 20))
def test_half_precision_stays_finite(name, seed, evals):
    problem = network((3, 16), factor=0.5, seed=seed, dtype=torch.float16)
    solution = fpdm.solver(name).solve(problem.f, problem.x0, evals=evals)
    assert solution.value.isfinite().all()
    assert (solution.status == Status.BUDGET_SPENT).all()


@every_solver
def test_a_finite_image_counts_however_far_it_is(name):
    far = fpdm.solver(name).solve(lambda z: -z, torch.full((1, 1), -4e4).half(), evals=1)
    large = fpdm.solver(name).solve(lambda z: z * 0.5, torch.full((1, 2), 1e20), evals=1)
    assert far.value.item() == 4e4
    assert torch.equal(large.value, torch.full((1, 2), 5e19))
    assert far.status.item() == large.status.item() == Status.BUDGET_SPENT


def test_an_extrapolation_that_is_not_finite_gives_way_to_the_image():
    class Bursts(IterativeSolver):
        def start(self, z0):
            del z0

        def advance(self, z, image, state):
            del z
            return image / 0, state

    solution = Bursts().solve(torch.cos, torch.zeros(1), evals=60)
    assert solution.value.item() == pytest.approx(0.739085)
    assert solution.status.item() == Status.BUDGET_SPENT


def test_a_singular_system_of_torchdeq_leaves_plain_steps():
    solver = fpdm.solver("torchdeq-anderson", ridge=0.0, memory=10**6)
    solution = solver.solve(torch.ones_like, torch.zeros(2, 20), evals=12)
    assert torch.equal(solution.value, torch.ones(2, 20))
    assert solution.evals == 12


@pytest.mark.parametrize("name", ["anderson", "broyden"])
@given(scale=st.integers(-6, 6), seed=seeds)
def test_acceleration_does_not_depend_on_scale(name, scale, seed):
    problem = affine((3, 6), factor=0.8, seed=seed)
    factor = 10.0**scale
    solver = fpdm.solver(name)
    plain = solver.solve(problem.f, problem.x0, evals=7)
    scaled = solver.solve(lambda z: factor * problem.f(z / factor), factor * problem.x0, evals=7)
    torch.testing.assert_close(scaled.residual, plain.residual, rtol=0.05, atol=1e-12)


@pytest.mark.parametrize("name", ["anderson", "broyden"])
@given(seed=seeds, size=st.integers(4, 24))
def test_acceleration_beats_plain_iteration_on_a_slow_contraction(name, seed, size):
    rng = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(3, size, size, dtype=torch.float64, generator=rng))[0]
    spectrum = torch.linspace(-0.95, 0.95, size, dtype=torch.float64)
    matrix = basis @ spectrum.diag() @ basis.mT
    offset = torch.randn(3, size, dtype=torch.float64, generator=rng)
    solution = torch.linalg.solve(torch.eye(size, dtype=torch.float64) - matrix, offset)

    def error(name: str) -> float:
        found = fpdm.solver(name).solve(
            lambda z: (matrix @ z[:, :, None])[:, :, 0] + offset, torch.zeros_like(offset), evals=25
        )
        return float((found.value - solution).norm(dim=1).max())

    assert error(name) < 0.7 * error("naive")


@pytest.mark.parametrize("keeps_best", [True, False])
def test_the_residual_is_that_of_the_evaluation_the_value_was_made_from(keeps_best):
    class Listed(IterativeSolver):
        def start(self, z0):
            del z0
            return iter([1.0, 2.0, 3.0])

        def advance(self, z, image, state):
            del image
            return torch.full_like(z, next(state)), state

    Listed.keeps_best = keeps_best
    images = iter([10.0, 1.25, 4.0])  # from 0, 1 and 2: gaps of 10, 0.25 and 2
    solution = Listed().solve(lambda z: torch.full_like(z, next(images)), torch.zeros(1), evals=3)
    assert solution.value.item() == (1.25 if keeps_best else 3.0)
    assert solution.residual.item() == pytest.approx(0.25 / 1.25 if keeps_best else 2.0 / 4.0)


@pytest.mark.parametrize("name", ["anderson", "broyden"])
def test_a_rejected_step_counts_and_the_sample_goes_on(name):
    def kinked(z):  # extrapolating across the kink lands far outside
        return torch.where(z < 1, 0.99 * z + 0.02, -3 * (z - 1) + 1.01).clamp(-50, 50) * 0.9

    counted = Counted(kinked)
    solution = fpdm.solver(name, safeguard=1.0).solve(counted, torch.zeros(4, 2), evals=30)
    assert counted.count == 30
    assert solution.value.isfinite().all()


@given(damping=st.floats(0.05, 1.0), problem=problems(dtypes=st.just(torch.float64)))
def test_damping_takes_part_of_the_step(damping, problem):
    solution = fpdm.solver("naive", damping=damping).solve(problem.f, problem.x0, evals=1)
    expected = (1 - damping) * problem.x0 + damping * problem.f(problem.x0)
    torch.testing.assert_close(solution.value, expected)


def test_damping_tames_a_map_that_overshoots():
    def overshoots(z):
        return 1 - 1.5 * z  # diverges undamped; the fixed point is 0.4

    damped = fpdm.solver("naive", damping=0.5).solve(overshoots, torch.zeros(1), evals=60)
    assert damped.value.item() == pytest.approx(0.4)
    assert abs(fpdm.solver("naive").solve(overshoots, torch.zeros(1), evals=60).value) > 1e6


@every_solver
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"evals": -1}, "evals=-1: must be a whole number ≥ 0"),
        ({"evals": 2.5}, "evals=2.5"),
        ({"evals": 3, "tol": 0.0}, "tol=0.0: must be a number > 0"),
        ({"evals": 3, "tol": float("nan")}, "tol=nan"),
    ],
)
def test_a_bad_call_is_refused(name, call, message):
    with pytest.raises(InvalidValueError, match=message):
        fpdm.solver(name).solve(torch.cos, torch.zeros(2), **call)


@every_solver
def test_options_are_validated(name):
    for option in inspect.signature(type(fpdm.solver(name))).parameters:
        with pytest.raises(FPDMError, match=option):
            fpdm.solver(name, **{option: -1})


def test_one_evaluation_more_than_granted_is_refused():
    counted = Counted(torch.cos, granted=2)
    counted(counted(torch.zeros(1)))
    with pytest.raises(PluginError, match="evaluation 3 of f with 2 granted"):
        counted(torch.zeros(1))
    assert counted.count == 2


@pytest.mark.parametrize("name", ["naive", "anderson", "broyden"])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_transforms_of_torch_func_go_through(name):
    def solve(weight):
        f = lambda z: torch.tanh(weight * z + 1)  # noqa: E731
        return fpdm.solver(name).solve(f, torch.zeros(2, 3).double(), evals=4).value

    weight = torch.linspace(0.2, 0.6, 6, dtype=torch.float64).reshape(2, 3)
    both = torch.stack([weight, 0.5 * weight])
    torch.testing.assert_close(torch.func.vmap(solve)(both), torch.stack(list(map(solve, both))))
    _, moved = torch.func.jvp(solve, (weight,), (torch.ones_like(weight),))
    step = 1e-6
    torch.testing.assert_close(
        moved, (solve(weight + step) - solve(weight - step)) / (2 * step), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", ["anderson", "broyden"])
def test_products_are_exact_whatever_matrix_products_are_allowed_to_round(name, monkeypatch):
    problem = cosine((3, 40), factor=0.9, seed=0, dtype=torch.float32)  # no matrix in f itself

    def solve():
        return fpdm.solver(name).solve(problem.f, problem.x0, evals=8).value

    exact, allowed = solve(), torch.get_float32_matmul_precision()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = solve()
    torch.set_float32_matmul_precision("medium")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(torch, "bmm", None)
            patch.setattr(torch, "baddbmm", None)
            rounded = solve()
    finally:
        torch.set_float32_matmul_precision(allowed)
    torch.testing.assert_close(cast, exact, rtol=0, atol=0)
    torch.testing.assert_close(rounded, exact, rtol=1e-4, atol=1e-4)


def test_a_solution_of_four_fields_and_one_with_a_trace_print_themselves():
    four = fpdm.Solution(
        value=torch.zeros(2, 3),
        evals=0,
        residual=torch.full((2,), torch.inf),
        status=torch.zeros(2, dtype=torch.int64),
    )
    assert four.absolute_residual.isinf().all()
    traced = fpdm.trace("anderson", torch.cos, torch.zeros(2, 3), evals=3)
    assert "trace=<(3, 2) torch.float64>" in repr(traced)
    assert "trace=None" in repr(four)


@pytest.mark.parametrize("name", NAMES)
def test_a_trace_is_what_was_seen_of_each_evaluation(name):
    problem = network((3, 4), factor=0.8, seed=0)
    traced = fpdm.trace(name, problem.f, problem.x0, evals=6)
    plain = fpdm.solver(name).solve(problem.f, problem.x0, evals=6)
    assert torch.equal(traced.value, plain.value)
    assert traced.trace.shape == (6, 3)
    first = problem.f(problem.x0)
    gap = (first - problem.x0).norm(dim=1) / first.norm(dim=1)
    torch.testing.assert_close(traced.trace[0], gap)
    torch.testing.assert_close(traced.trace.amin(dim=0), plain.residual, rtol=1e-6, atol=1e-12)
    assert fpdm.trace(name, problem.f, problem.x0, evals=0).trace.shape == (0, 3)


def test_a_precision_that_was_set_device_by_device_is_no_obstacle():
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        solution = fpdm.solver("anderson").solve(torch.cos, torch.zeros(2, 3), evals=20)
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
    assert solution.value[0, 0].item() == pytest.approx(0.739085)


def test_every_finite_image_counts_up_to_the_end_of_the_range():
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        most = torch.finfo(dtype).max
        solution = fpdm.solver("naive").solve(
            lambda z, most=most: torch.full_like(z, most), torch.zeros(2, 400, dtype=dtype), evals=2
        )
        assert (solution.status == Status.BUDGET_SPENT).all()
        assert (solution.value == most).all()


def test_a_sample_of_a_torchdeq_solver_that_dies_keeps_an_image():
    images = []

    def f(z):
        image = torch.where(
            z.abs().amax(dim=1, keepdim=True) > 1.5, torch.nan, 1.3 * torch.cos(2 * z)
        )
        images.append(image)
        return image

    for seed in range(20):
        images.clear()
        x0 = torch.randn(1, 3, generator=torch.Generator().manual_seed(seed))
        solution = fpdm.solver("torchdeq-broyden").solve(f, x0, evals=8)
        if solution.status == Status.NON_FINITE and images[0].isfinite().all():
            assert any(torch.equal(solution.value, image) for image in images)


@pytest.mark.parametrize(
    "made", [lambda image: image[:, :1], lambda image: image.double(), lambda image: image[None]]
)
def test_a_solver_that_makes_another_shape_or_dtype_is_named(made):
    class Bad(IterativeSolver):
        def start(self, z0):
            del z0

        def advance(self, z, image, state):
            del z
            return made(image), state

    with pytest.raises(PluginError, match="Bad made an iterate of"):
        Bad().solve(torch.cos, torch.zeros(2, 3), evals=3)


@pytest.mark.parametrize(
    "made", [lambda image: image, lambda _: None, lambda _: (0, None), lambda _: (1, 2, 3)]
)
def test_a_solver_that_returns_no_iterate_with_a_state_is_named(made):
    class Bad(IterativeSolver):
        def start(self, z0):
            del z0

        def advance(self, z, image, state):
            del z, state
            return made(image)

    with pytest.raises(PluginError, match=r"advance of Bad returned .*: must be the next"):
        Bad().solve(torch.cos, torch.zeros(2, 3), evals=3)


def test_relative_to_nothing_is_infinitely_far_and_nothing_is_there():
    far = fpdm.solver("naive").solve(lambda z: 0 * z, torch.ones(1, 2), evals=1)
    there = fpdm.solver("naive").solve(lambda z: 0 * z, torch.ones(1, 2), evals=2)
    assert far.residual.isinf().all()
    assert (there.residual == 0).all()


@pytest.mark.parametrize(("name", "options"), [("anderson", {"ridge": 0.0}), ("broyden", {})])
def test_a_singular_system_gives_no_gradient_that_is_not_finite(name, options):
    rng = torch.Generator().manual_seed(0)
    for _ in range(60):  # of dyadic numbers, so that systems are exactly singular
        weight = torch.randint(-2, 3, (1, 2), generator=rng).double() / 4
        offset = torch.randint(-2, 3, (1, 2), generator=rng).double()
        x0 = torch.randint(-2, 3, (1, 2), generator=rng).double()
        weight.requires_grad_()
        f = lambda z, weight=weight, offset=offset: weight * z + offset  # noqa: E731
        for evals in (4, 7, 12):
            found = fpdm.solver(name, **options).solve(f, x0, evals=evals)
            (gradient,) = torch.autograd.grad(found.value.sum(), weight)
            assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["anderson", "broyden"])
@pytest.mark.parametrize("lost_at", [1, 2, 4])
def test_the_residual_of_a_lost_sample_is_that_of_its_value(name, lost_at):
    problem = affine((2, 5), factor=0.5, seed=0)
    pairs = []

    def f(z):
        image = problem.f(z).clone()
        if len(pairs) == lost_at:
            image[1] = torch.nan
        pairs.append((z[1], image[1]))
        return image

    solution = fpdm.solver(name).solve(f, problem.x0, evals=7)
    (gap,) = {(y - z).norm().item() for z, y in pairs if torch.equal(y, solution.value[1])}
    assert solution.absolute_residual[1].item() == pytest.approx(gap)


@pytest.mark.parametrize("name", ["naive", "anderson", "broyden"])
@pytest.mark.parametrize("how", [torch.nan, torch.inf])
@pytest.mark.parametrize("evals", [1, 4])
@pytest.mark.parametrize("tol", [None, 1e-9])
def test_a_start_that_is_not_finite_can_have_an_image_that_is(name, how, evals, tol):
    x0 = torch.tensor([[0.5, 0.5], [how, 0.5]])
    f = lambda z: z.nan_to_num(0, 0, 0).cos()  # noqa: E731
    solution = fpdm.solver(name).solve(f, x0, evals=evals, tol=tol)
    assert solution.value.isfinite().all()
    assert (solution.status == Status.BUDGET_SPENT).all()


@pytest.mark.parametrize("name", ["anderson", "broyden"])
def test_f_is_asked_at_finite_points_only(name):
    def f(z):
        assert z.isfinite().all()
        near = torch.where(z == 1, 1 + 2**-20, z.abs())
        return z + torch.where(z == 0, 1, near)

    solution = fpdm.solver(name, safeguard=1e30).solve(f, torch.zeros(1), evals=60)
    assert solution.status.item() == Status.BUDGET_SPENT


@given(seed=seeds, odd=st.sampled_from([torch.nan, torch.inf, 0.0, 1e-30, 1e30]))
def test_the_norm_of_a_sample_does_not_depend_on_the_others(seed, odd):
    rows = torch.randn(3, 50, generator=torch.Generator().manual_seed(seed))
    alone = batch.norm(rows)
    rows[1] = odd
    assert torch.equal(batch.norm(rows)[[0, 2]], alone[[0, 2]])
