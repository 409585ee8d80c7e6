"""What a solver has learned of `f` goes on to the next timestep, and nowhere else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.errors import InvalidValueError
from fpdm.solution import Status
from fpdm.testing import affine, network
from fpdm.testing.laws import tensors
from fpdm.testing.strategies import seeds
from tests.toys import tiny

CARRYING = [
    ("anderson", {}),
    ("anderson", {"kind": "I"}),
    ("broyden", {}),
    ("broyden", {"rank": 2}),
]
every = pytest.mark.parametrize(("name", "options"), CARRYING)


@every
@pytest.mark.parametrize("evals", [3, 6])
def test_a_second_solve_of_the_same_map_goes_on_faster(name, options, evals):
    problem = affine((200, 12), factor=0.9, seed=0)
    solver = fpdm.solver(name, carry=True, **options)
    first = solver.solve(problem.f, problem.x0, evals=evals)
    afresh = solver.solve(problem.f, first.value, evals=2)
    going_on = solver.solve(problem.f, first.value, evals=2, carry=first.carry)
    gain = going_on.residual.log() - afresh.residual.log()
    assert gain.median() < 0
    assert gain.mean().exp() < 0.9


@every
@given(seed=seeds)
def test_a_carry_is_left_as_it_is(name, options, seed):
    problem = network((2, 6), factor=0.8, seed=seed)
    solver = fpdm.solver(name, carry=True, **options)
    first = solver.solve(problem.f, problem.x0, evals=4)
    once, again = (
        solver.solve(problem.f, first.value, evals=7, carry=first.carry) for _ in range(2)
    )
    assert torch.equal(once.value, again.value)
    assert torch.equal(once.residual, again.residual)


@every
def test_a_carry_holds_the_graph_of_what_it_was_made_of(name, options):
    problem = network((2, 6), factor=0.8, seed=0)
    x0 = problem.x0.clone().requires_grad_()
    solver = fpdm.solver(name, carry=True, **options)
    first = solver.solve(problem.f, x0, evals=4)
    second = solver.solve(problem.f, torch.zeros_like(x0), evals=3, carry=first.carry)
    assert second.value.requires_grad
    with torch.no_grad():
        apart = solver.solve(problem.f, x0, evals=4)
        third = solver.solve(problem.f, torch.zeros_like(x0), evals=3, carry=first.carry)
    assert not any(each.requires_grad for each in tensors([apart.carry, third.carry]))
    torch.testing.assert_close(second.value, third.value)


def test_nothing_is_carried_unless_asked_for():
    for name in ("naive", "anderson", "broyden"):
        assert fpdm.solver(name).solve(torch.cos, torch.zeros(2), evals=3).carry is None


def test_a_carry_that_does_not_fit_is_refused():
    anderson = fpdm.solver("anderson", carry=True)
    carry = anderson.solve(torch.cos, torch.zeros(2, 3), evals=3).carry
    for solver, x0 in (
        (fpdm.solver("anderson", carry=True, memory=3), torch.zeros(2, 3)),
        (fpdm.solver("broyden", carry=True, rank=6), torch.zeros(4, 3)),
        (anderson, torch.zeros(2, 4)),
        (anderson, torch.zeros(2, 3).double()),
    ):
        with pytest.raises(InvalidValueError, match="needs what it has carried itself"):
            solver.solve(torch.cos, x0, evals=2, carry=carry)
    with pytest.raises(InvalidValueError, match="Naive cannot go on from an earlier solve"):
        fpdm.solver("naive").solve(torch.cos, torch.zeros(2, 3), evals=2, carry=carry)


def sample(
    solver, *, model=None, steps: int = 6, iterations: int = 3, seed: int = 0
) -> list[fpdm.Solution]:
    model, scheduler = model or tiny(), fpdm.EvenDDIMScheduler()
    scheduler.set_timesteps(steps)
    size = model.config["sample_size"]
    latents = torch.randn(2, 1, size, size, generator=torch.Generator().manual_seed(seed))
    labels, budget = torch.tensor([0, 2]), steps * (2 + iterations)
    with torch.no_grad():
        run = fpdm.sample(
            model, scheduler, latents, labels, budget=budget, init="reuse", solver=solver
        )
        return list(run)


def test_a_run_carries_from_timestep_to_timestep():
    model = fpdm.FPDMPipeline.digits().model  # of a random one the map of one timestep tells little
    kept, afresh = (
        sample(fpdm.solver("anderson", carry=carry), model=model, steps=15, iterations=2)
        for carry in (True, False)
    )
    assert torch.equal(kept[0].solution.value, afresh[0].solution.value)
    assert not torch.equal(kept[1].solution.value, afresh[1].solution.value)
    after = slice(1, None)
    residual = [
        torch.stack([step.solution.residual for step in run[after]]).mean()
        for run in (kept, afresh)
    ]
    assert residual[0] < residual[1]


def test_a_run_gives_no_carry_away_and_starts_without_one():
    first, second = (sample(fpdm.solver("anderson", carry=True)) for _ in range(2))
    assert all(step.solution.carry is None for step in first)
    assert torch.equal(first[-1].sample, second[-1].sample)


def test_a_layer_goes_on_from_its_history():
    model = tiny(solver={"name": "anderson", "carry": True})
    x, labels = torch.randn(2, 1, 4, 4), torch.tensor([0, 1])
    with torch.no_grad():
        before = model(x, timestep=500, class_labels=labels, evals=4).visited()
        call = {"timestep": 480, "class_labels": labels, "evals": 3, "init": "reuse"}
        going_on = model(x, **call, history=(before,)).solution
        changed = model(x, **call, history=(before,), solver="naive").solution
    assert before.solution.carry is not None
    assert going_on.residual.mean() < changed.residual.mean()
    assert changed.carry is None


def test_where_no_solver_is_named_sampling_accelerates_and_training_does_not():
    layer = tiny().layer
    assert layer.solver == fpdm.solver("anderson", carry=True)
    assert layer.training_solver == fpdm.solver("naive")

    class Watched(type(fpdm.gradient("jfb"))):
        def solve(self, f, z0, solver, generator=None):
            seen.append(solver)
            return super().solve(f, z0, solver, generator)

    seen, call = [], {"timestep": 3, "class_labels": torch.tensor([0])}
    model = tiny(gradient=Watched()).train()
    model(torch.zeros(1, 1, 4, 4), **call)
    model(torch.zeros(1, 1, 4, 4), **call, solver="broyden")
    assert seen == [fpdm.solver("naive"), fpdm.solver("broyden")]


@every
def test_evaluations_past_convergence_do_not_wear_out_what_was_learned(name, options):
    problem = affine((50, 12), factor=0.9, seed=0)
    moved = affine((50, 12), factor=0.9, seed=0)
    solver = fpdm.solver(name, carry=True, **options)

    def residual(evals: int) -> float:
        carry = solver.solve(problem.f, problem.x0, evals=evals).carry
        start = problem.solution + 0.1  # of a problem that has moved a little
        f = lambda z: moved.f(z - 0.05) + 0.05  # noqa: E731
        return solver.solve(f, start, evals=2, carry=carry).residual.median().item()

    if options.get("rank") != 2:
        assert residual(200) < 2 * residual(16)


def test_the_memory_format_of_a_carry_must_fit_and_is_named():
    solver = fpdm.solver("anderson", carry=True)
    carry = solver.solve(torch.cos, torch.zeros(2, 3, 4, 5), evals=3).carry
    x0 = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    with pytest.raises(InvalidValueError, match="memory format"):
        solver.solve(torch.cos, x0, evals=3, carry=carry)
    single = torch.zeros(2, 1, 3, 4).as_strided((2, 1, 3, 4), (12, 1, 4, 1))
    carry = solver.solve(torch.cos, torch.zeros(2, 1, 3, 4), evals=3).carry
    assert solver.solve(torch.cos, single, evals=3, carry=carry).evals == 3


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@every
def test_transforms_of_torch_func_go_through_with_a_carry(name, options):
    solver = fpdm.solver(name, carry=True, **options)
    x0 = torch.zeros(2, 3).double()
    carry = solver.solve(lambda z: 0.5 * z.cos(), x0, evals=4).carry

    def solve(weight):
        return solver.solve(lambda z: weight * z.cos(), x0, evals=3, carry=carry).value

    weight = torch.linspace(0.2, 0.6, 6, dtype=torch.float64).reshape(2, 3)
    _, moved = torch.func.jvp(solve, (weight,), (torch.ones_like(weight),))
    assert moved.isfinite().all()
    both = torch.stack([weight, 0.5 * weight])
    torch.testing.assert_close(torch.func.vmap(solve)(both), torch.stack(list(map(solve, both))))


@pytest.mark.parametrize("name", ["anderson", "broyden"])
def test_a_sample_that_is_done_keeps_what_it_has_learned_while_others_go_on(name):
    window = {"anderson": "memory", "broyden": "rank"}[name]
    solver = fpdm.solver(name, carry=True, **{window: 2})
    rng = torch.Generator().manual_seed(0)
    offset = torch.randn(2, 8, dtype=torch.float64, generator=rng)
    slope = torch.linspace(0.2, 0.9, 8, dtype=torch.float64) * torch.tensor([[0.1], [1.2]])

    def solve(index, x0, **options):
        f = lambda z: slope[index] * z.cos() + offset[index]  # noqa: E731
        return solver.solve(f, x0, **options)

    both, one = slice(0, 2), slice(0, 1)
    together = solve(both, torch.zeros(2, 8).double(), evals=60, tol=1e-6)
    alone = solve(one, torch.zeros(1, 8).double(), evals=60, tol=1e-6)
    assert alone.evals < together.evals - 2  # the window has gone round meanwhile
    start = alone.value + 0.1
    after = solve(both, torch.cat([start, together.value[1:]]), evals=2, carry=together.carry)
    by_itself = solve(one, start, evals=2, carry=alone.carry)
    torch.testing.assert_close(after.value[0], by_itself.value[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(after.residual[0], by_itself.residual[0], rtol=1e-6, atol=1e-12)


def test_a_start_of_another_memory_format_does_not_interrupt_a_run():
    class Transposed(type(fpdm.init("reuse"))):
        def initial(self, features, history, moment):
            start = super().initial(features, history, moment)
            return start.mT.contiguous().mT if history else start

    model = tiny(init=Transposed())
    x, labels = torch.randn(2, 1, 4, 4), torch.tensor([0, 1])
    with torch.no_grad():
        before = model(x, timestep=500, class_labels=labels, evals=3).visited()
        again = model(x, timestep=480, class_labels=labels, evals=3, history=(before,)).solution
    assert again.evals == 3


@every
@given(seed=seeds)
def test_from_a_blank_carry_a_run_of_solves_is_what_it_is_without(name, options, seed):
    problem = network((3, 6), factor=0.8, seed=seed)
    solver = fpdm.solver(name, carry=True, **options)

    def run(carry):
        found, start = [], problem.x0
        for _ in range(5):
            start = start + 0.1
            found.append(solver.solve(problem.f, start, evals=3, carry=carry))
            carry, start = found[-1].carry, found[-1].value
        return found

    blank = solver.blank(problem.x0)
    shapes = [tensor.shape for tensor in tensors(blank)]
    for apart, together in zip(run(None), run(blank), strict=True):
        torch.testing.assert_close(together.value, apart.value, rtol=1e-6, atol=1e-8)
        assert [tensor.shape for tensor in tensors(together.carry)] == shapes


@every
def test_a_carry_that_was_handed_over_is_overwritten_and_does_the_same(name, options):
    problem = network((3, 6), factor=0.8, seed=0)
    solver = fpdm.solver(name, carry=True, **options)
    first = solver.solve(problem.f, problem.x0, evals=4)
    kept = solver.solve(problem.f, first.value, evals=4, carry=first.carry)
    first.carry.hand_over()
    places = {tensor.data_ptr() for tensor in tensors(first.carry)}
    given_away = solver.solve(problem.f, first.value, evals=4, carry=first.carry)
    assert torch.equal(kept.value, given_away.value)
    assert {tensor.data_ptr() for tensor in tensors(given_away.carry)} <= places
    assert not given_away.carry.owned


@every
@pytest.mark.parametrize("lost_at", [0, 2, 4])
@pytest.mark.parametrize("how", [torch.nan, torch.inf])
def test_a_sample_that_was_lost_for_one_evaluation_carries_nothing_of_it(
    name, options, lost_at, how
):
    problem = network((3, 6), factor=0.8, seed=0)
    solver = fpdm.solver(name, carry=True, **options)
    calls = []

    def f(z):
        image = problem.f(z).clone()
        calls.append(z)
        if len(calls) == lost_at + 1:
            image[1] = how
        return image

    first = solver.solve(f, problem.x0, evals=7)
    second = solver.solve(problem.f, first.value, evals=7, carry=first.carry)
    assert (second.status == Status.BUDGET_SPENT).all()
    assert second.carry.past.history.isfinite().all()


@every
def test_what_inference_mode_has_carried_can_be_handed_over_to_outside(name, options):
    problem = network((2, 6), factor=0.8, seed=0)
    solver = fpdm.solver(name, carry=True, **options)
    with torch.inference_mode():
        first = solver.solve(problem.f, problem.x0, evals=4)
    with torch.no_grad():
        expected = solver.solve(problem.f, problem.x0, evals=7, carry=first.carry)
        first.carry.hand_over()
        found = solver.solve(problem.f, problem.x0, evals=7, carry=first.carry)
    assert torch.equal(found.value, expected.value)


@every
@settings(max_examples=8)
@given(seed=seeds, tol=st.sampled_from([1e-1, 1e-2, 1e-3]), solves=st.integers(2, 4))
@pytest.mark.parametrize("recorded", [False, True])
def test_a_sample_that_stops_before_the_others_carries_what_it_would_alone(
    name, options, recorded, seed, tol, solves
):
    solver = fpdm.solver(name, carry=True, **options)
    rng = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(4, 6, 6, dtype=torch.float64, generator=rng))[0]
    factors = torch.tensor([0.05, 0.5, 0.8, 0.9], dtype=torch.float64)
    matrices = factors[:, None, None] * basis

    def run(samples: slice) -> list[fpdm.Solution]:
        value, carry, found = torch.zeros(4, 6, dtype=torch.float64)[samples], None, []
        for index in range(solves):
            drift = (1 + 0.1 * index) * torch.ones(6, dtype=torch.float64)

            def f(z, drift=drift):
                return (matrices[samples] @ z.tanh()[:, :, None])[:, :, 0] + drift

            found.append(solver.solve(f, value, evals=9, tol=tol, carry=carry))
            value, carry = found[-1].value, found[-1].carry
        return found

    matrices.requires_grad_(recorded)
    together = run(slice(4))
    for index in range(4):
        alone = run(slice(index, index + 1))
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(one.value[0], all_.value[index], rtol=1e-6, atol=1e-8)
