"""A sampling run spends its budget, keeps its state to itself, and starts where it should."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.schedulers import EvenDDPMScheduler
from fpdm.errors import BudgetError, InvalidValueError, PluginError, UnknownNameError
from fpdm.testing.strategies import seeds
from tests.built_ins import allocation as built_in
from tests.built_ins import built_ins
from tests.toys import BlockPasses, tiny, tiny_dit

SOLVERS = built_ins()["solver"]
ALLOCATIONS = built_ins()["allocation"]
INITS = built_ins()["init"]


def pipeline(model=None, sampler: str = "ddim") -> fpdm.FPDMPipeline:
    pipe = fpdm.FPDMPipeline(model or tiny(), Diffusion().scheduler(sampler))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, labels=(0, 1, 2), *, seed=0, **options):
    options = {"budget": 20, "num_inference_steps": 4} | options
    generator = torch.Generator().manual_seed(seed)
    return pipe(list(labels), generator=generator, output_type="pt", **options)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("allocation", ALLOCATIONS)
@given(
    steps=st.integers(1, 6),
    spare=st.integers(0, 20),
    pre=st.integers(0, 2),
    post=st.integers(0, 2),
    guidance=st.sampled_from([1.0, 2.5]),
    init=st.sampled_from(INITS),
)
@settings(max_examples=4)
def test_block_passes_counted_from_outside_equal_the_budget(
    solver, allocation, steps, spare, pre, post, guidance, init
):
    model = tiny(pre_depth=pre, post_depth=post)
    budget = steps * (pre + post + 1) + spare
    with BlockPasses(model) as passes:
        result = draw(
            pipeline(model),
            budget=budget,
            num_inference_steps=steps,
            solver=solver,
            allocation=built_in(allocation),
            init=init,
            guidance_scale=guidance,
        )
    assert passes.count == budget == sum(step.passes for step in result.steps)
    assert [step.index for step in result.steps] == list(range(steps))
    assert all(step.iterations >= 1 for step in result.steps)


@pytest.mark.parametrize("depth", [1, 3])
def test_an_explicit_network_spends_its_depth_at_each_timestep(depth):
    model = tiny_dit(depth=depth)
    with BlockPasses(model) as passes:
        draw(pipeline(model), budget=5 * depth, num_inference_steps=5)
    assert passes.count == 5 * depth


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("init", INITS)
def test_the_same_generator_draws_the_same_images(sampler, init):
    pipe = pipeline(sampler=sampler)
    first, second = (draw(pipe, init=init, seed=5).images for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, draw(pipe, init=init, seed=6).images)


@given(others=st.integers(1, 5), seed=seeds, init=st.sampled_from(INITS))
def test_nothing_leaks_from_one_run_into_the_next(others, seed, init):
    fresh = draw(pipeline(), init=init, seed=seed).images
    used = pipeline()
    draw(
        used,
        labels=[1] * others,
        init=init,
        allocation="adaptive",
        solver="anderson",
        seed=seed + 1,
    )
    assert torch.equal(draw(used, init=init, seed=seed).images, fresh)


def test_two_interleaved_runs_equal_two_runs_one_after_the_other():
    model, noise = tiny(), torch.randn(2, 1, 1, 4, 4)
    scheduler = Diffusion().scheduler()
    scheduler.set_timesteps(4)

    def run(index: int):
        label = torch.tensor([index])
        return fpdm.sample(model, scheduler, noise[index], label, budget=16, init="reuse")

    with torch.no_grad():
        apart = [list(run(index))[-1].sample for index in range(2)]
        together = list(zip(run(0), run(1), strict=True))[-1]
    assert torch.equal(together[0].sample, apart[0])
    assert torch.equal(together[1].sample, apart[1])


@pytest.mark.parametrize("iterations", [1, 3])
def test_reuse_starts_where_the_last_timestep_ended(iterations):
    starts, model, latents = [], tiny(), torch.randn(3, 1, 4, 4)
    scheduler = Diffusion().scheduler()
    scheduler.set_timesteps(4)

    class Watched(type(fpdm.init("reuse"))):
        def initial(self, features, history, moment):
            assert len(history) <= 1
            starts.append((features, super().initial(features, history, moment)))
            return starts[-1][1]

    budget = 4 * (2 + iterations)
    with torch.no_grad():
        run = fpdm.sample(model, scheduler, latents, torch.arange(3), budget=budget, init=Watched())
        steps = list(run)
    features, first = starts[0]
    assert torch.equal(first, features)
    for (_, start), before in zip(starts[1:], steps, strict=False):
        assert torch.equal(start, before.solution.value)


def test_extrapolation_goes_half_a_step_further():
    half = fpdm.init("extrapolate")
    features = torch.zeros(1, 2)

    def start(init: fpdm.InitStrategy, *values: float) -> torch.Tensor:
        past = [visited(value) for value in values]
        return init.initial(features, past, fpdm.Moment(len(past), 4))

    assert torch.equal(start(half), features)
    assert torch.equal(start(half, 2.0), torch.full((1, 2), 2.0))
    assert torch.equal(start(half, 2.0, 4.0), torch.full((1, 2), 5.0))
    full = fpdm.init("extrapolate", step=1.0)
    assert torch.equal(start(full, 2.0, 4.0), torch.full((1, 2), 6.0))


def visited(value: float, **moment) -> fpdm.Visited:
    state = torch.full((1, 2), value)
    solution = fpdm.Solution(state, 1, torch.zeros(1), torch.zeros(1, dtype=torch.int64))
    return fpdm.Visited(fpdm.Moment(**moment), torch.zeros(1, 2), solution)


@given(
    levels=st.lists(st.floats(-20, 20), min_size=3, max_size=3, unique=True).map(sorted),
    step=st.floats(0, 1),
)
def test_over_the_log_snr_the_step_grows_with_the_gap(levels, step):
    older, last, now = levels
    init = fpdm.init("extrapolate", step=step, by="log-snr")
    past = [visited(2.0, log_snr=older), visited(4.0, log_snr=last)]
    start = init.initial(torch.zeros(1, 2), past, fpdm.Moment(log_snr=now))
    reach = min(1.0, step * (now - last) / (last - older))
    torch.testing.assert_close(start, torch.full((1, 2), 4.0 + 2.0 * reach))


@pytest.mark.parametrize(
    ("levels", "reach"),
    [
        ((None, None, None), 0.5),  # not known: as by="step"
        ((-math.inf, 0.0, 1.0), 0.0),  # from pure noise the gap was without end
        ((1.0, 1.0, 2.0), 0.0),  # one timestep twice, as Heun's method visits them
        ((0.0, 1.0, 1.0), 0.0),
        ((0.0, 1.0, 40.0), 1.0),
    ],
)
def test_gaps_that_are_no_measure_do_no_harm(levels, reach):
    older, last, now = levels
    init = fpdm.init("extrapolate", by="log-snr")
    past = [visited(2.0, log_snr=older), visited(4.0, log_snr=last)]
    start = init.initial(torch.zeros(1, 2), past, fpdm.Moment(log_snr=now))
    assert torch.equal(start, torch.full((1, 2), 4.0 + 2.0 * reach))


@pytest.mark.parametrize("init", INITS)
def test_a_run_keeps_and_a_strategy_sees_no_more_history_than_it_asked_for(init):
    seen, kept, model = [], [], tiny()
    model.register_forward_pre_hook(
        lambda _, __, call: kept.append(len(call["history"])), with_kwargs=True
    )

    class Watched(type(fpdm.init(init))):
        def initial(self, features, history, moment):
            seen.append(len(history))
            return super().initial(features, history, moment)

    draw(pipeline(model), init=Watched())
    lookback = Watched.lookback
    assert kept == [min(step, max(lookback, 1)) for step in range(4)]
    assert seen == [min(step, lookback) for step in range(4)]


def test_a_history_from_another_batch_size_is_refused():
    model = tiny()
    call = {"timestep": 5, "evals": 1}
    other = model(torch.randn(3, 1, 4, 4), class_labels=torch.zeros(3, dtype=int), **call).visited()
    with pytest.raises(InvalidValueError, match="is the history from another run"):
        model(
            torch.randn(2, 1, 4, 4),
            class_labels=torch.zeros(2, dtype=int),
            history=(other,),
            init=fpdm.init("reuse"),
            **call,
        )


@given(scale=st.floats(0, 8), seed=seeds)
def test_guidance_is_one_doubled_batch(scale, seed):
    model = tiny()
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    y = torch.tensor([0, 2])
    scheduler = EvenDDPMScheduler()
    scheduler.set_timesteps(2)
    with torch.no_grad():
        t = scheduler.timesteps[0]
        conditional = model(x, timestep=t, class_labels=y, evals=3).sample
        nothing = model(x, timestep=t, class_labels=torch.tensor([3, 3]), evals=3).sample
        guided = nothing + scale * (conditional - nothing)
        expected = scheduler.step(guided, t, x, generator=torch.Generator().manual_seed(1))
        first = next(
            fpdm.sample(
                model,
                scheduler,
                x,
                y,
                budget=10,
                guidance_scale=scale,
                generator=torch.Generator().manual_seed(1),
            )
        )
    torch.testing.assert_close(first.sample, expected.prev_sample, rtol=1e-4, atol=1e-4)
    assert len(first.solution.value) == (2 if scale == 1 else 4)


def test_a_scheduler_that_draws_no_noise_needs_no_generator():
    from diffusers import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(prediction_type="v_prediction")
    scheduler.set_timesteps(4)
    run = fpdm.sample(tiny(), scheduler, torch.randn(1, 1, 4, 4), torch.tensor([1]), budget=16)
    with torch.no_grad():
        assert list(run)[-1].sample.isfinite().all()


def test_a_training_estimator_that_miscounts_is_named():
    class Miscounts(type(fpdm.gradient("jfb"))):
        def solve(self, f, z0, solver, generator=None):
            del generator
            return solver.solve(f, f(z0), evals=1)

    model = tiny(gradient=Miscounts()).train()
    with pytest.raises(fpdm.errors.PluginError, match="Miscounts made 2 evaluations where 1"):
        model(torch.randn(2, 1, 4, 4), timestep=5, class_labels=torch.tensor([0, 1]))
    with pytest.raises(InvalidValueError, match="say with evals"):
        model(torch.randn(2, 1, 4, 4), timestep=5, class_labels=torch.tensor([0, 1]), tol=1e-3)


def test_steps_and_budget_that_are_left_open():
    pipe = pipeline(tiny(evals=3))
    assert len(draw(pipe, budget=60, num_inference_steps=None).steps) == 15
    run = draw(pipe, budget=None, num_inference_steps=7)
    assert [step.iterations for step in run.steps] == [3] * 7
    assert len(draw(pipe, budget=3, num_inference_steps=None).steps) == 1
    assert len(draw(pipeline(tiny_dit(depth=3)), budget=12, num_inference_steps=None).steps) == 4


def test_images_come_as_asked_for():
    pipe = pipeline()
    call = {"class_labels": [0, 1], "budget": 12, "num_inference_steps": 4}
    call["generator"] = torch.Generator()
    tensor = pipe(**call | {"generator": torch.Generator().manual_seed(1)}, output_type="pt").images
    array = pipe(**call | {"generator": torch.Generator().manual_seed(1)}, output_type="np").images
    pil = pipe(**call | {"generator": torch.Generator().manual_seed(1)}).images
    assert tensor.shape == (2, 1, 4, 4)
    assert array.shape == (2, 4, 4, 1)
    assert (torch.from_numpy(array).permute(0, 3, 1, 2) == tensor).all()
    assert 0 <= tensor.min() <= tensor.max() <= 1
    assert [(image.mode, image.size) for image in pil] == [("L", (4, 4))] * 2
    assert list(pil[0].get_flattened_data()) == (tensor[0] * 255).round().flatten().tolist()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": [4]}, InvalidValueError, r"\[4\] out of range; classes go from 0 to 2"),
        ({"labels": [-1]}, InvalidValueError, "out of range"),
        ({"labels": []}, InvalidValueError, "one for each image"),
        ({"labels": [0.5]}, InvalidValueError, "must be a whole number or a name"),
        ({"budget": 8}, BudgetError, r"4 steps: 4 × \(1 pre \+ 1 post \+ 1 iteration\) = 12"),
        ({"budget": 2, "num_inference_steps": None}, BudgetError, "= 3 block passes"),
        ({"num_inference_steps": 1001, "budget": 9000}, InvalidValueError, "≤ 1000"),
        ({"num_inference_steps": 0}, fpdm.FPDMError, "num_inference_steps=0"),
        ({"solver": "nave"}, UnknownNameError, "Did you mean 'naive'"),
        ({"allocation": "rising"}, UnknownNameError, "adaptive, constant, decreasing, incr"),
        ({"init": {"name": "extrapolate", "stp": 1}}, UnknownNameError, "Did you mean 'step'"),
        ({"guidance_scale": float("nan")}, InvalidValueError, "guidance_scale=nan"),
    ],
)
def test_a_call_that_cannot_be_is_refused_in_one_sentence(options, error, message):
    labels = options.pop("labels", [0, 1])
    with pytest.raises(error, match=message):
        draw(pipeline(), labels, **options)


def test_an_explicit_network_refuses_what_it_has_no_use_for():
    with pytest.raises(InvalidValueError, match="init, solver: a DiT has no implicit layer"):
        draw(pipeline(tiny_dit(depth=3)), budget=12, solver="naive", init="reuse")


def test_a_solver_that_does_not_spend_its_grant_is_named():
    class Lazy(type(fpdm.solver("naive"))):
        def solve(self, f, x0, *, evals, tol=None):
            return super().solve(f, x0, evals=evals - 1, tol=tol)

    class Broken(Lazy):
        def solve(self, *_, **__):
            raise RuntimeError("no idea")

    for allocation in ("constant", "adaptive"):  # which watches
        with pytest.raises(PluginError, match=r"Lazy made \d evaluations where \d were due"):
            draw(pipeline(), solver=Lazy(), allocation=allocation)
        with pytest.raises(PluginError, match="The solver Broken failed: RuntimeError: no idea"):
            draw(pipeline(), solver=Broken(), allocation=allocation)


def test_a_policy_sees_residuals_of_the_samples_that_come_next():
    seen = []

    class Looking(type(fpdm.allocation("adaptive"))):
        def begin(self, *_, **__):
            return self

        def iterations(self, moment, *, budget, remaining, previous):
            if previous is not None:
                seen.append((len(previous.start_residual), len(previous.residual)))
            return super().iterations(moment, budget=budget, remaining=remaining, previous=previous)

    options = {"guidance_scale": 2.0, "guidance_interval": (0.3, 0.6)}
    draw(pipeline(), allocation=Looking(), **options, budget=40, num_inference_steps=7)
    assert {3, 6} == {batch for batch, _ in seen}
    assert all(start == end for start, end in seen)


def test_a_saved_pipeline_draws_the_same(tmp_path):
    pipe = pipeline(tiny(solver="anderson", init="reuse"))
    pipe.save_pretrained(tmp_path)
    loaded = fpdm.FPDMPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert torch.equal(draw(loaded).images, draw(pipe).images)
