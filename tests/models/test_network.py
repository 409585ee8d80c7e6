"""The networks equal their equations, and compute nothing twice."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fpdm
from fpdm.errors import InvalidValueError, UnknownNameError
from fpdm.models import PRESETS
from fpdm.testing.strategies import seeds
from tests import reference
from tests.reference import weights_of


def randomised(model: nn.Module, seed: int) -> nn.Module:
    """Weights that leave nothing at zero, so that every part shows in the output."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.15 * torch.randn(parameter.shape, generator=rng))
    return model.eval()


@st.composite
def sizes(draw) -> dict:
    heads = draw(st.sampled_from([1, 2, 3]))
    patch = draw(st.sampled_from([1, 2, 4]))
    return {
        "sample_size": patch * draw(st.integers(1, 3)),
        "patch_size": patch,
        "in_channels": draw(st.integers(1, 3)),
        "hidden_size": heads * 4 * draw(st.integers(1, 3)),
        "num_heads": heads,
        "num_classes": draw(st.integers(1, 5)),
        "mlp_ratio": draw(st.sampled_from([1.0, 2.0, 4.0])),
        "learn_sigma": draw(st.booleans()),
    }


def inputs(config: dict, seed: int):
    rng = torch.Generator().manual_seed(seed)
    size = config["sample_size"]
    x = torch.randn(3, config["in_channels"], size, size, generator=rng)
    t = torch.randint(0, 1000, (3,), generator=rng)
    y = torch.randint(0, config["num_classes"] + 1, (3,), generator=rng)
    return x, t, y


def assert_agree(out: torch.Tensor, expected) -> None:
    error = (out.double() - torch.from_numpy(expected)).abs().max()
    assert error <= 1e-5 * max(1.0, abs(expected).max())


@given(
    config=sizes(),
    pre=st.integers(0, 2),
    post=st.integers(0, 2),
    timestep_in_explicit=st.booleans(),
    evals=st.integers(0, 4),
    seed=seeds,
)
def test_fpdit_equals_its_equations(config, pre, post, timestep_in_explicit, evals, seed):
    config |= {
        "pre_depth": pre,
        "post_depth": post,
        "condition_pre_post_on_timestep": timestep_in_explicit,
    }
    model = randomised(fpdm.FPDiT(**config, solver="naive"), seed)
    x, t, y = inputs(config, seed)
    with torch.no_grad():
        out = model(x, timestep=t, class_labels=y, evals=evals).sample
    expected = reference.fpdit(
        x.double().numpy(),
        t.double().numpy(),
        y.numpy(),
        weights_of(model),
        config=config,
        evals=evals,
    )
    assert_agree(out, expected)


@given(config=sizes(), depth=st.integers(1, 3), seed=seeds)
def test_dit_equals_its_equations(config, depth, seed):
    config |= {"depth": depth}
    model = randomised(fpdm.DiT(**config), seed)
    x, t, y = inputs(config, seed)
    with torch.no_grad():
        out = model(x, timestep=t, class_labels=y).sample
    expected = reference.dit(
        x.double().numpy(), t.double().numpy(), y.numpy(), weights_of(model), config=config
    )
    assert_agree(out, expected)


@pytest.mark.parametrize(
    ("network", "options", "parameters"),
    [
        (fpdm.DiT, {}, 674_834_720),
        (fpdm.FPDiT, {"pre_depth": 1, "post_depth": 1}, 86_500_256),
        (fpdm.FPDiT, {"pre_depth": 2, "post_depth": 2}, 134_310_560),
    ],
)
def test_xl_has_the_published_number_of_parameters(network, options, parameters):
    with torch.device("meta"):
        model = network.from_preset(
            "XL/2", sample_size=32, in_channels=4, num_classes=1000, learn_sigma=True, **options
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_the_presets_are_four_sizes_with_three_patches():
    assert set(PRESETS) == {
        f"{size}/{patch}" for size in ("S", "B", "L", "XL") for patch in (2, 4, 8)
    }
    assert PRESETS["B/8"].patch_size == 8
    with pytest.raises(UnknownNameError, match="Did you mean 'XL/2'"):
        fpdm.FPDiT.from_preset("XL2")


def calls_of(module: nn.Module, run) -> int:
    count = 0

    def note(*_):
        nonlocal count
        count += 1

    handle = module.register_forward_hook(note)
    run()
    handle.remove()
    return count


@pytest.mark.parametrize("evals", [1, 4, 9])
def test_what_does_not_depend_on_the_iterate_is_computed_once(evals):
    model = fpdm.FPDiT(
        sample_size=4, in_channels=1, hidden_size=8, num_heads=2, num_classes=2, pre_depth=2
    ).eval()
    x, t, y = torch.randn(2, 1, 4, 4), torch.tensor([5, 9]), torch.tensor([0, 1])

    def run():
        model(x, timestep=t, class_labels=y, evals=evals)

    implicit = model.layer.block
    assert calls_of(implicit.injection, run) == 1
    assert calls_of(implicit.block.modulation, run) == 1
    assert calls_of(implicit.block, run) == evals
    assert calls_of(implicit.narrow, run) == evals
    for module in [*model.denoiser.pre.blocks, *model.denoiser.post.blocks]:
        assert calls_of(module, run) == 1
        assert calls_of(module.modulation, run) == 1


@given(config=sizes(), evals=st.integers(1, 5))
@settings(max_examples=10)
def test_an_iteration_multiplies_only_what_depends_on_the_iterate(config, evals):
    model = fpdm.FPDiT(**config).eval()
    x, t, y = inputs(config, 0)

    def multiplications(evals: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(x, timestep=t, class_labels=y, evals=evals)
        counts = counter.get_flop_counts()["Global"]
        return sum(counts.get(op, 0) for op in (torch.ops.aten.mm, torch.ops.aten.addmm)) // 2

    dim, tokens = config["hidden_size"], (config["sample_size"] // config["patch_size"]) ** 2
    mixing = 2 * dim * dim + 2 * dim * dim  # the half of W1 that sees the state, and W2
    block = 4 * dim * dim + 2 * dim * int(dim * config["mlp_ratio"])  # attention and MLP
    per_iteration = len(x) * tokens * (mixing + block)
    assert multiplications(evals) - multiplications(0) == evals * per_iteration


def test_a_new_network_predicts_zero_and_its_blocks_are_identities():
    for network in (fpdm.FPDiT, fpdm.DiT):
        model = network(sample_size=4, in_channels=1, hidden_size=8, num_heads=2, num_classes=2)
        out = model.eval()(torch.randn(2, 1, 4, 4), timestep=3, class_labels=torch.tensor([0, 2]))
        assert torch.equal(out.sample, torch.zeros(2, 1, 4, 4))
        assert float(model.embeddings.label.weight.detach().std()) == pytest.approx(0.02, rel=0.5)
        linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
        assert all(m.bias is None or (m.bias == 0).all() for m in linears)


def tiny(**options) -> fpdm.FPDiT:
    return fpdm.FPDiT(
        sample_size=4, in_channels=1, hidden_size=8, num_heads=2, num_classes=2, **options
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 3}, "patch_size=3 must divide sample_size=4"),
        ({"num_heads": 3}, "num_heads=3 must divide hidden_size=8"),
        ({"hidden_size": 6}, "must be a multiple of 4"),
        ({"pre_depth": -1}, "pre_depth=-1"),
        ({"solver": "andersen"}, "Did you mean 'anderson'"),
        ({"init": 3}, "init=3: must be a name"),
        ({"gradient": {"max_grad": 3}}, "must be a name"),
        ({"condition_size": 4}, "a network is told one of them; give num_classes=0"),
        ({"condition_size": (2, 3, 4), "num_classes": 0}, "must be K, or"),
        ({"sample_size": (4, 4, 4)}, "this network draws images"),
        ({"sample_size": (4, 3)}, r"patch_size=2 must divide sample_size=\(4, 3\)"),
        ({"has_null_class": 1}, "has_null_class=1: must be true or false"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    base = {"sample_size": 4, "in_channels": 1, "hidden_size": 8, "num_heads": 2, "num_classes": 2}
    with pytest.raises(fpdm.FPDMError, match=message):
        fpdm.FPDiT(**(base | options))


def test_inputs_of_a_wrong_shape_are_refused():
    model = tiny().eval()
    y = torch.tensor([0, 1])
    with pytest.raises(
        InvalidValueError, match=r"x has shape \(2, 1, 8, 8\): must be \(batch, 1, 4, 4\)"
    ):
        model(torch.randn(2, 1, 8, 8), timestep=3, class_labels=y)
    with pytest.raises(InvalidValueError, match="class_labels has shape"):
        model(torch.randn(3, 1, 4, 4), timestep=3, class_labels=y)
    with pytest.raises(InvalidValueError, match=r"timestep has shape \(3,\)"):
        model(torch.randn(2, 1, 4, 4), timestep=torch.zeros(3), class_labels=y)
    for wrong in ([0, 3], [-1, 0]):
        with pytest.raises(InvalidValueError, match="must be whole numbers from 0 to 2"):
            model(torch.randn(2, 1, 4, 4), timestep=3, class_labels=torch.tensor(wrong))
    with pytest.raises(InvalidValueError, match=r"class_labels are torch\.float32: must be int64"):
        model(torch.randn(2, 1, 4, 4), timestep=3, class_labels=torch.tensor([0.0, 1.0]))
    dit = fpdm.DiT(sample_size=4, in_channels=1, hidden_size=8, num_heads=2, num_classes=2)
    with pytest.raises(InvalidValueError, match="no implicit layer"):
        dit(torch.randn(2, 1, 4, 4), timestep=3, class_labels=y, evals=4)


@given(dtype=st.sampled_from([torch.float32, torch.bfloat16]), seed=seeds)
@settings(max_examples=6)
def test_saving_and_loading_keeps_weights_and_strategies(dtype, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = tiny(solver={"name": "anderson", "memory": 3}, init="reuse", gradient="jfb", evals=7)
    model = randomised(model, seed).to(dtype)
    model.save_pretrained(folder)
    loaded = fpdm.FPDiT.from_pretrained(folder, torch_dtype=dtype)
    assert loaded.layer.solver == fpdm.solver("anderson", memory=3)
    assert loaded.layer.init == fpdm.init("reuse")
    assert loaded.layer.gradient == fpdm.gradient("jfb")
    assert loaded.layer.evals == 7
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    x = torch.randn(2, 1, 4, 4, dtype=dtype)
    call = {"timestep": 500, "class_labels": torch.tensor([0, 1])}
    assert torch.equal(model(x, **call).sample, loaded(x, **call).sample)
    assert loaded(x, **call).solution.evals == 7


def saved_bytes(run) -> int:
    """Bytes that the backward pass of `run` will want, weights not counted."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter) and not tensor.is_leaf:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(kept.values())


@pytest.mark.parametrize(
    "gradient", [{"name": "unrolled", "evals": 6}, {"name": "sjfb"}, "implicit"]
)
@pytest.mark.parametrize("kind", ["fpdit", "dit"])
def test_recomputation_gives_the_same_gradients_for_less_memory(kind, gradient):
    options = {"gradient": gradient} if kind == "fpdit" else {"depth": 6}
    sizes = {"sample_size": 8, "in_channels": 1, "hidden_size": 16, "num_heads": 2}
    network = fpdm.FPDiT if kind == "fpdit" else fpdm.DiT
    model = randomised(network(**sizes, num_classes=2, **options), seed=0).train()
    assert not model.is_gradient_checkpointing
    x, t, y = torch.randn(4, 1, 8, 8), torch.tensor([1, 99, 500, 999]), torch.tensor([0, 1, 2, 0])

    def gradients() -> tuple[list[torch.Tensor], int]:
        given = {"generator": torch.Generator().manual_seed(3)} if kind == "fpdit" else {}
        out = None

        def forward():
            nonlocal out
            out = model(x, timestep=t, class_labels=y, **given).sample

        kept = saved_bytes(forward)
        model.zero_grad()
        out.square().mean().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None], kept

    plain, much = gradients()
    model.enable_gradient_checkpointing()
    assert model.is_gradient_checkpointing
    again, little = gradients()
    for ours, theirs in zip(again, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert little < 0.6 * much
    model.disable_gradient_checkpointing()
    assert gradients()[1] == much


def test_recomputation_changes_nothing_where_there_is_no_gradient():
    model = tiny().eval()
    model.enable_gradient_checkpointing()
    call = {"timestep": 3, "class_labels": torch.tensor([0, 1]), "evals": 3}
    with torch.no_grad():
        passes = calls_of(model.layer.block.block, lambda: model(torch.randn(2, 1, 4, 4), **call))
    assert passes == 3


def test_pipelines_of_diffusers_find_the_channels_they_look_for(tmp_path, caplog):
    import logging

    logging.getLogger("diffusers.configuration_utils").addHandler(caplog.handler)
    model = tiny(learn_sigma=True)
    assert (model.config.in_channels, model.config.out_channels) == (1, 2)
    assert tiny().config.out_channels == 1
    model.save_pretrained(tmp_path)
    assert fpdm.FPDiT.from_pretrained(tmp_path).config.out_channels == 2
    assert fpdm.FPDiT.from_config(model.config).config.out_channels == 2
    assert caplog.messages == []
