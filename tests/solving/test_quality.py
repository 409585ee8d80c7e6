"""What the solvers reach: classical problems, networks, and the edges of the dtype."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import silu

import fpdm
from fpdm.models.conditioning import Conditioning
from fpdm.testing import affine, network
from fpdm.testing.classical import classical
from fpdm.testing.strategies import seeds
from tests.toys import stiff_block, symmetric, tiny

ACCELERATED = ["anderson", "broyden"]


def residual(f, value):
    """The true relative residual of each sample, by one more evaluation."""
    image, value = f(value).flatten(1).double(), value.flatten(1).double()
    return (image - value).norm(dim=1) / image.norm(dim=1)


@pytest.mark.parametrize("problem", classical(), ids=lambda problem: problem.name)
def test_anderson_solves_the_classical_problems_within_their_limits(problem):
    needed = problem.evals(fpdm.solver("anderson", **problem.options), most=problem.within)
    assert needed is not None


@pytest.mark.parametrize(
    "problem",
    [problem for problem in classical() if problem.name != "seven rotations"],
    ids=lambda problem: problem.name,
)
def test_so_does_broyden_but_for_the_rotations(problem):
    # Broyden's method solves n linear equations in 2 n steps, and these are 14
    assert problem.evals(fpdm.solver("broyden"), most=problem.within) is not None


def test_broyden_solves_the_rotations_in_two_steps_per_dimension():
    (rotations,) = [problem for problem in classical() if problem.name == "seven rotations"]
    assert rotations.evals(fpdm.solver("broyden", rank=28), most=28) is not None


def test_plain_iteration_does_not_solve_what_is_hard():
    naive = fpdm.solver("naive")
    solved = {each.name for each in classical() if each.evals(naive, most=each.within) is not None}
    assert solved == {"0.5 cos x", "tanh(x + 1)"}


@pytest.mark.parametrize("seed", range(5))
def test_anderson_on_a_slow_affine_map(seed):
    f, x0 = symmetric(seed), torch.zeros(1, 200)
    accelerated = fpdm.solver("anderson").solve(f, x0, evals=20)
    assert residual(f, accelerated.value).item() <= 2e-4
    assert residual(f, fpdm.solver("naive").solve(f, x0, evals=20).value).item() > 5e-3


@pytest.mark.parametrize("name", ["naive", *ACCELERATED])
@given(scale=st.floats(-6, 6), seed=seeds)
def test_residuals_do_not_depend_on_scale(name, scale, seed):
    f, x0, factor = symmetric(seed, size=40, batch=3), torch.zeros(3, 40), 10.0**scale
    plain = fpdm.solver(name).solve(f, x0, evals=12)
    scaled = fpdm.solver(name).solve(lambda z: factor * f(z / factor), factor * x0, evals=12)
    torch.testing.assert_close(scaled.residual, plain.residual, rtol=0.05, atol=0)


@pytest.mark.parametrize(("name", "reached"), [("anderson", 3e-4), ("broyden", 1e-5)])
def test_a_stiff_transformer_block(name, reached):
    def median(name: str) -> float:
        found = []
        for seed in range(4):
            f, x0 = stiff_block(seed=seed)
            found.append(residual(f, fpdm.solver(name).solve(f, x0, evals=40).value))
        return torch.cat(found).median().item()

    assert median(name) <= reached
    assert median("naive") > 1e-3


@pytest.mark.parametrize("name", ACCELERATED)
@pytest.mark.parametrize("trained", [True, False])
def test_two_evaluations_are_no_worse_than_plain_ones_on_a_network(name, trained):
    model = fpdm.FPDMPipeline.digits().model if trained else tiny(sample_size=8, hidden_size=16)
    rng = torch.Generator().manual_seed(0)
    size = model.config.hidden_size
    features, cond = torch.randn(64, 16, size, generator=rng), torch.randn(64, size, generator=rng)
    with torch.no_grad():
        f = model.layer.block.bind(features, Conditioning(silu(cond), cond))
        plain = fpdm.solver("naive").solve(f, features, evals=2)
        found = fpdm.solver(name).solve(f, features, evals=2)
    assert (residual(f, found.value) <= residual(f, plain.value)).all()


@pytest.mark.parametrize("name", ["naive", *ACCELERATED])
@given(seed=seeds, level=st.integers(1, 5))
def test_a_sample_with_its_own_tolerance_does_not_feel_its_neighbours(name, seed, level):
    problem = network((8, 24), factor=0.9, seed=seed, dtype=torch.float32)
    solver, tol = fpdm.solver(name), 10.0**-level
    together = solver.solve(problem.f, problem.x0, evals=200, tol=tol)
    for index in range(8):
        alone = problem.alone(index)
        apart = solver.solve(alone.f, alone.x0, evals=200, tol=tol)
        difference = (together.value[index] - apart.value[0]).norm() / apart.value[0].norm()
        # where a residual meets the tolerance to its last digits, rounding decides on one step more
        residuals = torch.stack([together.residual[index], apart.residual[0]])
        undecided = ((residuals / tol - 1).abs() < 1e-2).any()
        assert difference < 1e-6 or (undecided and difference < tol)


@pytest.mark.parametrize("name", ["naive", *ACCELERATED])
@given(seed=seeds)
def test_bfloat16_reaches_its_rounding(name, seed):
    problem = affine((4, 64), factor=0.8, seed=seed, dtype=torch.bfloat16)
    found = fpdm.solver(name).solve(problem.f, problem.x0, evals=30)
    assert (residual(problem.f, found.value) <= 1e-2).all()


@pytest.mark.parametrize("name", ["naive", *ACCELERATED])
def test_a_sample_that_turns_nan_keeps_its_last_good_iterate(name):
    problem, images = network((2, 8), factor=0.8, seed=0, dtype=torch.float32), []

    def f(z):
        image = problem.f(z)
        images.append(image.clone())
        if len(images) == 6:
            image[1] = torch.nan
        return image

    found = fpdm.solver(name).solve(f, problem.x0, evals=12)
    undisturbed = fpdm.solver(name).solve(problem.f, problem.x0, evals=12)
    assert torch.equal(found.value[0], undisturbed.value[0])
    assert found.status.tolist() == [fpdm.Status.BUDGET_SPENT, fpdm.Status.NON_FINITE]
    assert torch.equal(found.value[1], images[4][1])  # the image of the fifth call


@pytest.mark.parametrize("name", ["naive", *ACCELERATED])
def test_a_tolerance_out_of_reach_is_stagnation_and_a_slow_map_is_not(name):
    fast = network((2, 8), factor=0.5, seed=0, dtype=torch.float32)
    beyond = fpdm.solver(name).solve(fast.f, fast.x0, evals=300, tol=1e-12)
    done = (beyond.status == fpdm.Status.STAGNATED) | (beyond.residual == 0)
    assert done.all()
    assert beyond.evals == 300 or (beyond.residual == 0).all()
    slow = fpdm.solver("naive").solve(lambda z: 0.99 * z + 1, torch.zeros(2, 1), evals=50, tol=1e-9)
    assert (slow.status == fpdm.Status.BUDGET_SPENT).all()


@pytest.mark.parametrize("kind", ["I", "II"])
@given(seed=seeds, ridge=st.floats(0, 1e-3), memory=st.integers(1, 8))
def test_anderson_of_either_kind_with_any_memory_converges(kind, seed, ridge, memory):
    problem = network((3, 10), factor=0.8, seed=seed)
    solver = fpdm.solver("anderson", kind=kind, ridge=ridge, memory=memory)
    found = solver.solve(problem.f, problem.x0, evals=120)
    assert problem.error(found.value) < 1e-7


@pytest.mark.parametrize("kind", ["I", "II"])
def test_the_last_secant_above_the_rounding_is_learned_from(kind):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 64, generator=generator)
    weight = weight * 1.2 / torch.linalg.matrix_norm(weight, 2)
    weight = (-weight @ weight.T).bfloat16()
    bias = torch.randn(64, 64, generator=generator).bfloat16()
    solution = fpdm.solver("anderson", kind=kind).solve(
        lambda z: z @ weight + bias, torch.zeros_like(bias), evals=6
    )
    assert solution.residual.median() < 0.006
