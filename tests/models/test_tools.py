"""Tools that look inside modules work on both networks."""

import copy
import logging

import pytest
import torch
from torch import nn
from torch.export import export, load, save
from torch.func import functional_call, grad, jacrev, jvp, vmap

from tests.models.tools import CPU, SAME, in_groups, linears
from tests.sampling.pipelines import images, pipeline
from tests.toys import tiny, tiny_dit

NETWORKS = {"fpdit": lambda: tiny(post_depth=2), "dit": lambda: tiny_dit(depth=2)}
BUDGET = {"fpdit": 20, "dit": 8}
FLOAT8 = torch.float8_e4m3fn

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning"),
    pytest.mark.parametrize("kind", NETWORKS),
]


def inputs(dtype=torch.float32):
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    return x, {"timestep": torch.tensor(500), "class_labels": torch.tensor([0, 3])}


def said(model, dtype=torch.float32) -> torch.Tensor:
    x, call = inputs(dtype)
    with torch.no_grad():
        return model(x, **call).sample


@pytest.mark.parametrize("tool", SAME)
def test_a_network_in_the_hands_of_a_tool_says_what_it_said(kind, tool, tmp_path):
    expected, drawn = (
        said(NETWORKS[kind]()),
        images(pipeline(NETWORKS[kind]()), budget=BUDGET[kind]),
    )
    model = SAME[tool](NETWORKS[kind](), tmp_path)
    torch.testing.assert_close(said(model), expected, atol=1e-5, rtol=1e-5)
    again = images(pipeline(model), budget=BUDGET[kind])
    torch.testing.assert_close(again, drawn, atol=1e-4, rtol=1e-4)


def called(model, run) -> dict[nn.Module, int]:
    """How often each module is called, its pre-hook and its hook firing as one pair."""
    before, after = dict.fromkeys(model.modules(), 0), dict.fromkeys(model.modules(), 0)
    handles = []
    for module in model.modules():

        def entered(module, _):
            before[module] += 1

        def left(module, _, __):
            after[module] += 1

        handles += [module.register_forward_pre_hook(entered), module.register_forward_hook(left)]
    run()
    for handle in handles:
        handle.remove()
    assert before == after
    return after


@pytest.mark.parametrize("mode", ["eval", "train", "checkpointed", "run"])
def test_the_owner_of_every_parameter_is_called_and_so_is_every_module_above_it(kind, mode):
    model = NETWORKS[kind]().train(mode in ("train", "checkpointed"))
    if mode == "checkpointed":
        model.enable_gradient_checkpointing()
    x, call = inputs()
    runs = {"run": lambda: images(pipeline(model), budget=BUDGET[kind])}
    count = called(model, runs.get(mode, lambda: model(x, **call)))
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        assert any(parameter is own for own in owner.parameters(recurse=False))
        assert count[owner] > 0, name
    outside = {model.embeddings} if mode == "run" else set()  # a run embeds all at once
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList) and module not in outside:
            assert count[module] > 0, name


@pytest.mark.parametrize("change", ["parametrize", "prune", "replace"])
def test_what_a_tool_changes_of_any_one_layer_takes_effect(kind, change):
    model = {"fpdit": tiny, "dit": lambda: tiny_dit(depth=1)}[kind]()
    expected = said(model)
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Embedding))
    ]

    class Half(nn.Module):
        def forward(self, weight):
            return weight / 2

    class Other(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x) / 2

    for name in names:
        whole = model.get_submodule(name)
        layer = copy.deepcopy(whole)
        model.set_submodule(name, layer)
        if change == "parametrize":
            nn.utils.parametrize.register_parametrization(layer, "weight", Half())
        elif change == "prune":
            nn.utils.prune.l1_unstructured(layer, "weight", amount=0.9)
        else:
            model.set_submodule(name, Other(layer))
        assert not torch.allclose(said(model), expected, atol=1e-5), name
        model.set_submodule(name, whole)


def test_the_layer_of_the_iterate_may_be_replaced_by_a_plain_one(kind):
    model = NETWORKS[kind]()
    expected = said(model)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear):
            plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
            plain.load_state_dict(layer.state_dict())
            model.set_submodule(name, plain)
    torch.testing.assert_close(said(model), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("compute", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("before", [True, False])
def test_weights_may_be_stored_in_eight_bits(kind, compute, before):
    exact, model = said(NETWORKS[kind]()), NETWORKS[kind]()
    if before:
        model.to(compute)
    model.enable_layerwise_casting(storage_dtype=FLOAT8, compute_dtype=compute)
    assert all(linear.weight.dtype == FLOAT8 for linear in linears(model))
    out = said(model, compute)
    assert out.dtype == compute
    assert (out.float() - exact).norm() < 0.2 * exact.norm()
    drawn = images(pipeline(model), budget=BUDGET[kind])
    assert drawn.dtype == compute
    assert drawn.isfinite().all()


@pytest.mark.parametrize("level", ["block_level", "leaf_level"])
def test_stored_in_eight_bits_and_offloaded_in_groups(kind, level, tmp_path):
    model = NETWORKS[kind]().to(torch.bfloat16)
    model.enable_layerwise_casting(storage_dtype=FLOAT8, compute_dtype=torch.bfloat16)
    expected = said(model, torch.bfloat16)
    in_groups(level)(model, tmp_path)
    assert torch.equal(said(model, torch.bfloat16), expected)


def test_a_part_of_ones_own_asks_what_its_weights_are_cast_to(kind):
    model = NETWORKS[kind]()
    embedding = model.embeddings.timestep
    exact = embedding(torch.tensor([3.0]))
    model.enable_layerwise_casting(storage_dtype=FLOAT8, compute_dtype=torch.float32)
    assert (embedding(torch.tensor([3.0])) - exact).norm() < 0.2 * exact.norm()
    assert embedding.double()(torch.tensor([3.0])).dtype == torch.float32  # as the hooks cast


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_is_of_one_dtype(kind, dtype, caplog):
    caplog.set_level(logging.ERROR)
    exact, model = said(NETWORKS[kind]()), NETWORKS[kind]().to(dtype)
    out = said(model, dtype)
    assert out.dtype == dtype
    assert (out.float() - exact).norm() < 0.05 * exact.norm()
    out = said(NETWORKS[kind]().half() if dtype == torch.float16 else model, dtype)
    assert out.dtype == dtype


def test_quantize_dynamic_takes_the_linear_layers(kind):
    exact = said(NETWORKS[kind]())
    model = torch.ao.quantization.quantize_dynamic(NETWORKS[kind](), {nn.Linear})
    out = said(model)
    assert not torch.equal(out, exact)
    assert (out - exact).norm() < 0.1 * exact.norm()
    assert images(pipeline(model), budget=BUDGET[kind]).isfinite().all()


def loss(model):
    def of_one(weights, x, t, y):
        call = {"timestep": t[None], "class_labels": y[None]}
        return functional_call(model, weights, (x[None],), call).sample.square().mean()

    return of_one


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_gradients_of_each_sample(kind, training, again):
    options = {"gradient": {"name": "jfb", "no_grad": 1}} if kind == "fpdit" else {"depth": 2}
    model = {"fpdit": tiny, "dit": tiny_dit}[kind](**options).train(training)
    if again:
        model.enable_gradient_checkpointing()
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    x, call = inputs()
    t, y = torch.tensor([500, 20]), call["class_labels"]
    every = vmap(grad(loss(model)), in_dims=(None, 0, 0, 0))(weights, x, t, y)
    for sample in range(2):
        alone = grad(loss(model))(weights, x[sample], t[sample], y[sample])
        for name, one in alone.items():
            torch.testing.assert_close(every[name][sample], one, atol=1e-4, rtol=1e-3)


def test_derivatives_in_both_modes(kind):
    model = NETWORKS[kind]().double()
    x, call = inputs(torch.float64)

    def f(x):
        return model(x, **call).sample

    value, forward = jvp(f, (x,), (torch.ones_like(x),))
    torch.testing.assert_close(value, f(x))
    backward = jacrev(f)(x).flatten(4).sum(-1)
    torch.testing.assert_close(forward, backward)


def test_vmap_over_labels_and_over_what_a_network_says(kind):
    model = NETWORKS[kind]()
    x, call = inputs()
    with torch.no_grad():
        out = vmap(lambda x, y: model(x[None], timestep=500, class_labels=y[None]))(
            x, call["class_labels"]
        )
        expected = model(x, **call)
    torch.testing.assert_close(out.sample[:, 0], expected.sample, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("solver", ["naive", {"name": "anderson", "carry": True}], ids=str)
def test_a_network_is_exported_saved_and_loaded(kind, solver, tmp_path):
    model = tiny(solver=solver) if kind == "fpdit" else NETWORKS[kind]()
    x, call = inputs()
    if kind == "fpdit":
        call["evals"] = 3
    program = export(model, (x,), call)
    save(program, tmp_path / "network.pt2")
    expected = model(x, **call)
    for exported in (program, load(tmp_path / "network.pt2")):
        out = exported.module()(x, **call)
        torch.testing.assert_close(out.sample, expected.sample)
        if kind == "fpdit":
            assert out.solution.evals == 3
            torch.testing.assert_close(out.solution.residual, expected.solution.residual)
            assert out.solution.carry is None
        else:
            assert out.solution is None
    assert out.sample.device == CPU
