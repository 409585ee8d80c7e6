"""With a tolerance images stop on their own, and cost at most the budget on average."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.allocator import MOST, Pool
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.testing.strategies import seeds
from tests.built_ins import allocation as built_in
from tests.built_ins import built_ins
from tests.sampling.pipelines import draw, pipeline
from tests.toys import tiny, tiny_dit

SOLVERS = built_ins()["solver"]
ALLOCATIONS = built_ins()["allocation"]
INITS = built_ins()["init"]
tolerances = st.floats(-6, 0.5).map(lambda power: 10.0**power)
plans = st.lists(st.tuples(st.integers(1, 50), st.fractions(0, 1)), min_size=1, max_size=30)


class Rows:
    """Counts for how many samples each iteration of a network is computed, from outside."""

    def __init__(self, model) -> None:
        self.seen: list[int] = []
        model.layer.block.register_forward_pre_hook(lambda _, args: self.seen.append(len(args[0])))


@given(plan=plans, most=st.integers(1, 5))
def test_a_pool_never_gives_more_than_was_planned(plan, most):
    pool, planned, spent = Pool(most), 0, Fraction(0)
    for wanted, share in plan:
        granted = pool.grant(wanted)
        assert wanted <= granted <= most * wanted
        took = 1 + share * (granted - 1)
        pool.settle(wanted, spent=took)
        planned, spent = planned + wanted, spent + took
        assert spent + pool.saved == planned
        assert pool.saved >= 0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("allocation", ALLOCATIONS)
@given(
    steps=st.integers(1, 6),
    spare=st.integers(0, 20),
    samples=st.integers(1, 5),
    tol=tolerances,
    guidance=st.sampled_from([(1.0, (0.0, 1.0)), (2.5, (0.0, 1.0)), (2.5, (0.3, 0.7))]),
    init=st.sampled_from(INITS),
)
@settings(max_examples=5)
def test_images_cost_at_most_the_budget_on_average(
    solver, allocation, steps, spare, samples, tol, guidance, init
):
    model = tiny(pre_depth=1, post_depth=0)
    rows, budget = Rows(model), 2 * steps + spare
    result = draw(
        pipeline(model),
        [index % 3 for index in range(samples)],
        budget=budget,
        num_inference_steps=steps,
        tol=tol,
        solver=solver,
        allocation=built_in(allocation),
        init=init,
        guidance_scale=guidance[0],
        guidance_interval=guidance[1],
    )
    counts = [step.counts for step in result.steps]
    assert sum(int(each.sum()) for each in counts) == sum(rows.seen)
    assert len(counts) == steps
    assert all((each >= 1).all() for each in counts)
    assert [int(each.max()) for each in counts] == [step.iterations for step in result.steps]
    spent = steps + sum(Fraction(int(each.sum()), len(each)) for each in counts)
    assert spent <= budget
    assert result.average_passes == pytest.approx(float(spent))


@pytest.mark.parametrize("solver", ["naive", "anderson"])
@given(samples=st.integers(1, 4), spare=st.integers(0, 12), seed=seeds)
@settings(max_examples=5)
def test_a_tolerance_that_nobody_reaches_changes_nothing(solver, samples, spare, seed):
    def run(**options):
        generator = torch.Generator().manual_seed(seed)
        return draw(
            pipeline(tiny()),
            [1] * samples,
            budget=12 + spare,
            solver=solver,
            generator=generator,
            **options,
        )

    stopped, plain = run(tol=1e-30), run()
    torch.testing.assert_close(stopped.images, plain.images)
    assert [step.iterations for step in stopped.steps] == [s.iterations for s in plain.steps]
    assert stopped.average_passes == plain.average_passes == 12 + spare
    assert all(step.counts is None for step in plain.steps)


def noise(seed: int, samples: int) -> torch.Tensor:
    return torch.randn(samples, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


@given(seed=seeds, tol=tolerances)
@settings(max_examples=10)
def test_the_order_of_a_batch_changes_nothing(seed, tol):
    begun, order = noise(seed, 5), torch.tensor([3, 0, 4, 2, 1])
    options = {"tol": tol, "budget": 40, "solver": "naive"}
    one = draw(pipeline(), [1] * 5, latents=begun, **options)
    other = draw(pipeline(), [1] * 5, latents=begun[order], **options)
    torch.testing.assert_close(one.images[order], other.images, rtol=1e-3, atol=1e-4)
    assert one.average_passes == pytest.approx(other.average_passes)


@given(seed=seeds, solver=st.sampled_from(["naive", "anderson", "broyden"]))
@settings(max_examples=10)
def test_images_that_stop_within_the_plan_are_as_alone(seed, solver):
    begun = noise(seed, 3)
    options = {"tol": 0.5, "budget": 80, "solver": solver}
    together = draw(pipeline(), [1] * 3, latents=begun, **options)
    assert all(step.counts.max() <= 18 for step in together.steps)
    for index in range(3):
        alone = draw(pipeline(), [1], latents=begun[[index]], **options)
        torch.testing.assert_close(alone.images[0], together.images[index], rtol=1e-3, atol=1e-4)


def test_what_is_saved_is_granted_to_those_that_have_not_stopped():
    class Stubborn(fpdm.FixedPointSolver):
        """Stops all samples but the first after one evaluation."""

        def solve(self, f, x0, *, evals, tol=None):
            del tol
            value, rest = f(x0), torch.tensor([0])
            for _ in range(evals - 1):
                value = value.index_copy(0, rest, f.select(rest)(value[rest]))
            return fpdm.Solution(
                value, evals, torch.zeros(len(x0)), torch.zeros(len(x0), dtype=torch.int64)
            )

    result = draw(pipeline(), [1] * 4, budget=24, tol=0.1, solver=Stubborn())
    assert [step.iterations for step in result.steps] == [4, 6, 8, 9]
    assert [step.counts.tolist() for step in result.steps] == [
        [granted, 1, 1, 1] for granted in (4, 6, 8, 9)
    ]
    assert MOST == 3


@pytest.mark.parametrize("tol", [0, -1.0, float("nan"), True])
def test_a_tolerance_must_be_positive(tol):
    with pytest.raises(InvalidValueError, match="tol="):
        draw(pipeline(), tol=tol)


def test_an_explicit_network_has_nothing_to_stop():
    with pytest.raises(InvalidValueError, match="tol: a DiT has no implicit layer to iterate"):
        draw(pipeline(tiny_dit(depth=5)), tol=0.1)


def test_a_compiled_pipeline_refuses_it():
    with pytest.raises(InvalidValueError, match=r"tol=0\.1: a compiled timestep makes every"):
        draw(pipeline().compile(backend="eager"), tol=0.1)


def test_a_run_of_steps_tells_it_too():
    scheduler = Diffusion().scheduler()
    scheduler.set_timesteps(3)
    labels = torch.tensor([0, 1])
    with torch.no_grad():
        steps = list(fpdm.sample(tiny(), scheduler, noise(0, 2), labels, budget=30, tol=10.0))
    assert [step.counts.tolist() for step in steps] == [[1, 1]] * 3
    assert sum(step.average_passes for step in steps) == 9


def test_the_bar_says_what_images_cost(capfd):
    pipe = pipeline()
    pipe.set_progress_bar_config(disable=False)
    draw(pipe, tol=10.0)
    assert "on average 12.0 of 20 passes" in capfd.readouterr().err
