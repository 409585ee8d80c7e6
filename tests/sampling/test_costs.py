"""What a timestep of a run costs beyond its network and its solver, counted in operations.

Each is a launch on a GPU. What a run costs once does not count: runs of two lengths are compared.
"""

import inspect
import itertools
import sys
from collections import Counter

import pytest
import torch
from diffusers.hooks import group_offloading

import fpdm
from fpdm.diffusion import Diffusion
from tests.operations import operations
from tests.sampling.pipelines import draw, pipeline, seeded
from tests.toys import peak_bytes, tiny, tiny_dit

OURS = [("v_prediction", "ddim"), ("v_prediction", "ddpm"), ("flow", "euler")]
MULTISTEP = [
    *((kind, name) for kind in ("v_prediction", "flow") for name in ("dpm++", "unipc")),
]
EMBEDDED = 9
"""Operations with which a single call embeds its timestep and its classes; a run does so once."""


def run(pipe, steps: int, **options):
    return draw(pipe, (0, 1), num_inference_steps=steps, budget=4 * steps, **options)


def per_timestep(pipe, *, passes: int = 4, **options) -> Counter[str]:
    """What one more timestep dispatches, at two iterations."""
    longer, shorter = (
        operations(
            lambda steps=steps: draw(
                pipe, (0, 1), num_inference_steps=steps, budget=passes * steps, **options
            )
        )
        for steps in (20, 10)
    )
    longer.subtract(shorter)
    assert not any(count % 10 for count in longer.values())
    return Counter({name: count // 10 for name, count in longer.items() if count})


def straight(model: fpdm.FPDiT) -> int:
    """What the network dispatches at two iterations when nothing else is done."""
    x, t, y = torch.randn(2, 1, 4, 4), torch.tensor(500), torch.tensor([0, 1])

    def forward():
        cond = model.embed(x, t, y)
        features = model.denoiser.pre(x, cond)
        f = model.layer.block.bind(features, cond)
        model.denoiser.post(f(f(features)), cond)

    return operations(forward).total()


def solving(solver: fpdm.FixedPointSolver) -> int:
    """What the solver itself dispatches at two iterations, going on from another timestep."""
    states = list(torch.randn(5, 2, 4, 8))

    def solve(**carry):
        images = iter(states[1:])
        return solver.solve(lambda _: next(images), states[0], evals=2, **carry)

    if not solver.carry:
        return operations(solve).total()
    with torch.no_grad():
        carried = solve()
        for _ in range(9):  # as it is in the middle of a run
            carried = solve(carry=carried.carry)
    carried.carry.hand_over()  # as a run does
    return operations(lambda: solve(carry=carried.carry)).total()


def test_a_forward_pass_is_lean():
    assert straight(tiny()) <= 82


@pytest.mark.parametrize(("kind", "sampler"), OURS + MULTISTEP)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("solver", ["naive", None])
def test_a_run_adds_little_to_its_network_and_its_solver(kind, sampler, guidance, solver):
    model = tiny()
    pipe = pipeline(model, Diffusion(kind).scheduler(sampler))
    used = model.layer.solver if solver is None else fpdm.solver(solver)
    cost = per_timestep(pipe, solver=solver, guidance_scale=guidance).total()
    own = cost - (straight(model) - EMBEDDED) - solving(used)
    assert own <= (12 if sampler == "unipc" else 8)


@pytest.mark.parametrize(("kind", "sampler"), OURS + MULTISTEP)
@pytest.mark.parametrize(("solver", "most"), [("naive", 20), (None, 60), ("broyden", 60)])
def test_a_timestep_costs_little_beyond_a_straight_forward_pass(kind, sampler, solver, most):
    model = tiny()
    pipe = pipeline(model, Diffusion(kind).scheduler(sampler))
    cost = per_timestep(pipe, solver=solver).total() - straight(model)
    assert cost <= most


@pytest.mark.parametrize(("kind", "sampler"), OURS + MULTISTEP)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_run_never_waits_for_the_device(kind, sampler, guidance):
    pipe = pipeline(tiny(), Diffusion(kind).scheduler(sampler))
    seen = operations(lambda: run(pipe, 5, guidance_scale=guidance))
    assert not [name for name in seen if "local_scalar" in name or "nonzero" in name]


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_learned_variance_costs_two_operations(guidance):
    process = Diffusion("epsilon")
    fixed, learned = (
        per_timestep(
            pipeline(tiny(learn_sigma=True), process.scheduler("ddpm", learned_variance=each)),
            guidance_scale=guidance,
        ).total()
        for each in (False, True)
    )
    assert learned - fixed <= 3


def test_both_halves_of_a_guided_batch_share_their_patches():
    pipe, sizes = pipeline(), []
    patches = pipe.model.denoiser.pre.patches
    patches.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    run(pipe, 3, guidance_scale=2.0)
    assert sizes == [2] * 3


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_timesteps_and_classes_are_embedded_once_for_a_run(guidance):
    pipe = pipeline()
    seen = per_timestep(pipe, guidance_scale=guidance, solver="naive")
    assert not {"aten::embedding", "aten::cos", "aten::sin"} & seen.keys()
    guided = per_timestep(pipe, guidance_scale=2.0).total()
    assert guided - per_timestep(pipe).total() <= 1  # the mix of the two halves


def test_an_explicit_network_is_prepared_too():
    seen = per_timestep(pipeline(tiny_dit(depth=2)), passes=2)
    assert not {"aten::embedding", "aten::cos", "aten::sin"} & seen.keys()


@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "unipc"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_memory_does_not_grow_with_the_timesteps(sampler, guidance):
    model = tiny(hidden_size=64, sample_size=16, num_classes=3)
    pipe = pipeline(model, Diffusion().scheduler(sampler))
    few, many = (
        peak_bytes(lambda steps=steps: run(pipe, steps, guidance_scale=guidance))
        for steps in (10, 60)
    )
    tables = 50 * 4 * (64 + 10)  # an embedding and a row of coefficients for each
    records = 50 * 3 * 8 * 4  # residuals and states of the solves, until somebody looks
    assert many - few <= 2 * (tables + records) + 4096 * 8


class Plain(fpdm.DiT):
    """Takes no condition: it is called as ever."""

    def forward(self, x, timestep, class_labels, **options):
        return super().forward(x, timestep, class_labels, **options)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_network_that_takes_no_condition_draws_the_same(guidance):
    sizes = {"sample_size": 4, "in_channels": 1, "hidden_size": 8, "num_heads": 2, "num_classes": 3}
    prepared = tiny_dit(depth=2)
    plain = Plain(**sizes, depth=2).eval()
    plain.load_state_dict(prepared.state_dict())
    call = {"num_inference_steps": 5, "budget": 10, "guidance_scale": guidance}
    ours, theirs = (
        draw(pipeline(model), generator=seeded(), **call).images for model in (prepared, plain)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("explicit", [True, False])
def test_a_prepared_condition_says_what_a_call_says(explicit):
    model = tiny(condition_pre_post_on_timestep=explicit)
    timesteps, labels = torch.tensor([999, 500, 3]), torch.tensor([0, 1, 3, 3])
    x = torch.randn(2, 1, 4, 4)
    with torch.no_grad():
        conditions = model.prepare(timesteps, labels)
        for index, timestep in enumerate(timesteps):
            short = model(x, prepared=conditions[index], evals=3).sample
            long = model(torch.cat([x, x]), timestep, labels, evals=3).sample
            torch.testing.assert_close(short, long, rtol=1e-4, atol=1e-5)


def test_a_condition_of_another_size_is_refused():
    model = tiny()
    condition = model.prepare(torch.tensor([5]), torch.tensor([0, 1, 2]))[0]
    with pytest.raises(fpdm.errors.InvalidValueError, match="is for 3 samples, and there are 2"):
        model(torch.randn(2, 1, 4, 4), prepared=condition)
    with pytest.raises(fpdm.errors.InvalidValueError, match="class_labels: must be given"):
        model(torch.randn(2, 1, 4, 4), timestep=5)


@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "unipc"])
@pytest.mark.parametrize("init", ["features", "reuse", "extrapolate"])
def test_a_run_with_gradients_has_a_graph_for_each_timestep(init, sampler):
    model, scheduler = tiny(), Diffusion().scheduler(sampler)
    scheduler.set_timesteps(3)
    run = fpdm.sample(
        model, scheduler, torch.randn(2, 1, 4, 4), torch.tensor([0, 1]), budget=12, init=init
    )
    step = next(run)
    for _ in range(2):
        step.sample.square().mean().backward()
        step = run.send(step.sample.detach())
    assert model.embeddings.label.weight.grad.isfinite().all()


@pytest.mark.parametrize("init", ["features", "reuse", "extrapolate"])
def test_a_solution_that_carries_nothing_is_handed_on_as_it_is(init):
    model, scheduler, said, given = tiny(), Diffusion().scheduler(), [], []
    scheduler.set_timesteps(5)
    model.register_forward_hook(lambda _, __, denoised: said.append(denoised.solution))
    model.register_forward_pre_hook(
        lambda _, __, call: given.append(call["history"]), with_kwargs=True
    )
    how = {"budget": 20, "init": init, "solver": "naive"}
    with torch.no_grad():
        steps = list(
            fpdm.sample(model, scheduler, torch.randn(2, 1, 4, 4), torch.tensor([0, 1]), **how)
        )
    assert all(step.solution is one for step, one in zip(steps, said, strict=True))
    for before, after in itertools.pairwise(given):
        assert all(visited in after for visited in before[1:])  # the very same object
        assert after[-1].solution in said


def count(monkeypatch, home, name: str) -> list:
    """The arguments of each call of a function from here on."""
    calls, function = [], getattr(home, name)
    monkeypatch.setattr(home, name, lambda *args: (calls.append(args), function(*args))[1])
    return calls


@pytest.mark.parametrize("options", [{"solver": "naive"}, {"init": "reuse"}, {}])
def test_a_run_looks_up_what_it_needs_once(options, monkeypatch):
    pipe = pipeline()
    run(pipe, 2, **options)
    imported = count(monkeypatch, sys.modules["fpdm.runtime.lazy"], "import_module")
    signed = count(monkeypatch, inspect, "signature")
    run(pipe, 20, **options)
    assert imported == []
    assert {function.__qualname__ for (function,) in signed} <= {"FPDMPipeline.__init__"}


@pytest.mark.parametrize("hooks", [False, True])
def test_diffusers_looks_for_hooks_only_where_there_are_any(hooks, monkeypatch):
    pipe = pipeline()
    if hooks:
        pipe.model.enable_layerwise_casting(torch.float16, torch.float32)
    looks = count(monkeypatch, group_offloading, "_get_top_level_group_offload_hook")
    run(pipe, 2)
    assert bool(looks) == hooks
    assert pipe.model.dtype == torch.float32


def test_a_network_that_keeps_some_weights_in_float32_is_of_the_dtype_of_the_others():
    model = tiny().to(torch.bfloat16)
    model._keep_in_fp32_modules = ["embeddings"]
    model.embeddings.float()
    assert next(model.parameters()).dtype == torch.float32
    assert model.dtype == torch.bfloat16
