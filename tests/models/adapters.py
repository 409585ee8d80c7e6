"""Adapters of networks and pipelines, as diffusers has them elsewhere too: `make adapters`."""

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict
from torch import nn

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.models import DiffusersDiT
from fpdm.models.conditioning import Conditioning
from tests.built_ins import built_ins
from tests.sampling.pipelines import images, pipeline, seeded
from tests.toys import lively, tiny, tiny_dit

NETWORKS = {"fpdit": tiny, "dit": lambda: tiny_dit(depth=1)}
BUDGET = {"fpdit": 20, "dit": 4}
THEIRS = {"num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 1, "norm_num_groups": 2}
KINDS = {"lora": {}, "dora": {"use_dora": True}, "rslora": {"use_rslora": True}}

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
each_network = pytest.mark.parametrize("kind", NETWORKS)


def said(model) -> torch.Tensor:
    x = torch.randn(2, 1, 4, 4, generator=seeded())
    with torch.no_grad():
        return model(x, timestep=500, class_labels=torch.tensor([0, 3])).sample


def layers(model) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def settings(model, **options) -> LoraConfig:
    """Of an adapter that is not zero."""
    return LoraConfig(
        **{"r": 2, "target_modules": layers(model), "init_lora_weights": False} | options
    )


def adapted(kind: str, **options):
    torch.manual_seed(0)
    model = NETWORKS[kind]()
    model.add_adapter(settings(model, **options), "style")
    return model


def drawn(pipe, kind: str) -> torch.Tensor:
    return images(pipe, budget=BUDGET[kind])


def assert_close(ours, theirs) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@each_network
def test_an_adapter_of_any_one_layer_has_an_effect(kind):
    model = {"fpdit": lambda: tiny(pre_depth=0, post_depth=0), "dit": NETWORKS["dit"]}[kind]()
    plain = said(model)
    for name in layers(model):
        model.add_adapter(settings(model, target_modules=[name]), "style")
        assert not torch.allclose(said(model), plain, atol=1e-4), name
        model.unload_lora()
    assert_close(said(model), plain)


@each_network
@pytest.mark.parametrize("sort", KINDS)
def test_an_adapter_has_the_effect_that_it_has_when_it_is_merged(kind, sort):
    model = adapted(kind, **KINDS[sort])
    live = said(model)
    model.fuse_lora()
    assert_close(said(model), live)
    model.unfuse_lora()
    assert_close(said(model), live)
    model.disable_adapters()
    assert torch.allclose(said(model), said(NETWORKS[kind]()), atol=1e-6)  # it was merged between
    model.enable_adapters()
    assert_close(said(model), live)


@each_network
def test_every_weight_of_an_adapter_has_a_gradient_and_no_other(kind):
    model = NETWORKS[kind]().train()
    model.add_adapter(settings(model))
    wanted = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert wanted == {name for name, _ in model.named_parameters() if "lora" in name}
    x, labels = torch.randn(2, 1, 4, 4), torch.tensor([0, 3])
    model(x, timestep=500, class_labels=labels).sample.square().sum().backward()
    trained = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert trained == wanted
    assert all(dict(model.named_parameters())[name].grad.any() for name in trained)


@each_network
def test_an_adapter_is_saved_and_loaded(kind, tmp_path):
    model = adapted(kind, lora_alpha=3)
    model.save_lora_adapter(tmp_path / "model", "style")
    tensors = get_peft_model_state_dict(model, adapter_name="style")
    metadata = model.peft_config["style"].to_dict()
    save = fpdm.FPDMPipeline.save_lora_weights
    save(tmp_path / "pipe", tensors, model_lora_adapter_metadata=metadata)
    expected = said(model)
    for given in (tmp_path / "model", str(tmp_path / "pipe"), *(tmp_path / "pipe").iterdir()):
        fresh = NETWORKS[kind]()
        fresh.load_lora_adapter(given)
        assert torch.equal(said(fresh), expected)
        pipe = pipeline(NETWORKS[kind]())
        pipe.load_lora_weights(given, adapter_name="style")
        assert pipe.get_active_adapters() == ["style"]
        assert torch.equal(said(pipe.model), expected)


def wrong_files(kind: str, folder) -> dict[str, str]:
    """What is no adapter of a network, and what is said of it."""
    other = {"fpdit": "dit", "dit": "fpdit"}[kind]
    adapted(other).save_lora_adapter(folder / "other", "style")
    wide = {"fpdit": tiny, "dit": tiny_dit}[kind](hidden_size=16)
    wide.add_adapter(settings(wide), "style")
    wide.save_lora_adapter(folder / "wide", "style")
    NETWORKS[kind]().save_pretrained(folder / "network")
    whole = (folder / "wide" / "pytorch_lora_weights.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "text.bin").write_text("hello", encoding="utf-8")
    (folder / "nothing").mkdir()
    name = type(NETWORKS[kind]()).__name__
    return {
        "other": rf"no adapter of this {name}: it holds '.*', which is of no layer",
        "wide": rf"no adapter of this {name}: '.*' is of width 16, and its layer of 8",
        "network/diffusion_pytorch_model.safetensors": "it holds no tensor of one",
        "cut.safetensors": r"cut\.safetensors cannot be read as an adapter",
        "empty.safetensors": r"empty\.safetensors cannot be read as an adapter",
        "text.bin": r"text\.bin cannot be read as an adapter",
        "nothing": "there is no such file of an adapter",
        "missing": "missing: there is no such file of an adapter",
        "missing.safetensors": "there is no such file of an adapter",
    }


def test_a_network_around_one_of_diffusers_takes_adapters_too(tmp_path):
    def fresh():
        return lively(DiffusersDiT(sample_size=4, in_channels=1, num_classes=3, options=THEIRS))

    model = fresh()
    model.add_adapter(settings(model), "style")
    model.save_lora_adapter(tmp_path, "style")
    pipe = pipeline(fresh(), Diffusion().scheduler(learned_variance=True))
    before = images(pipe, budget=4)
    pipe.load_lora_weights(tmp_path)
    assert torch.equal(said(pipe.model), said(model))
    assert not torch.allclose(images(pipe, budget=4), before, atol=1e-4)


@each_network
def test_what_is_no_adapter_of_the_network_is_one_clear_error_and_changes_nothing(kind, tmp_path):
    pipe = pipeline(NETWORKS[kind]())
    plain = said(pipe.model)
    for given, sentence in wrong_files(kind, tmp_path).items():
        for load in (pipe.model.load_lora_adapter, pipe.load_lora_weights):
            for path in (tmp_path / given, str(tmp_path / given)):
                with pytest.raises(InvalidValueError, match=sentence) as caught:
                    load(path)
                assert "\n" not in str(caught.value)
    for nothing in ({}, {"model.mix.lora_A.weight": torch.zeros(2, 8)}):
        with pytest.raises(InvalidValueError, match="no adapter of this"):
            pipe.load_lora_weights(nothing)
    assert torch.equal(said(pipe.model), plain)
    assert layers(pipe.model) == layers(NETWORKS[kind]())


@each_network
def test_a_network_with_an_adapter_is_not_saved_as_one_without(kind, tmp_path):
    model = adapted(kind)
    live = said(model)
    for save in (model.save_pretrained, pipeline(model).save_pretrained):
        with pytest.raises(InvalidValueError, match="save_lora_adapter saves one"):
            save(tmp_path / "refused")
    assert not list((tmp_path).rglob("*.*"))
    model.fuse_lora()
    model.unload_lora()
    model.save_pretrained(tmp_path / "merged")
    assert_close(said(type(model).from_pretrained(tmp_path / "merged")), live)


@each_network
def test_training_an_adapter_lowers_the_loss_and_leaves_the_network_as_it_was(kind):
    torch.manual_seed(0)
    model = NETWORKS[kind]().train()
    model.add_adapter(LoraConfig(r=4, target_modules=layers(model)), "style")
    kept = {name: w.clone() for name, w in model.named_parameters() if not w.requires_grad}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    clean, labels, t = torch.randn(8, 1, 4, 4), torch.arange(8) % 3, torch.full((8,), 500)
    process, losses = Diffusion("v_prediction"), []
    noised = process.noise(clean, torch.randn(8, 1, 4, 4), t)
    for _ in range(20):
        made = model(noised.x, timestep=t, class_labels=labels).sample
        losses.append(process.loss(made, noised, clean=clean, timestep=t))
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(kept[name], dict(model.named_parameters())[name]) for name in kept)


@pytest.mark.parametrize("solver", built_ins()["solver"])
def test_every_solver_iterates_an_adapted_block_as_it_does_the_merged_one(solver):
    live, merged = adapted("fpdit"), adapted("fpdit")
    merged.fuse_lora()
    call = {"timestep": 500, "class_labels": torch.tensor([0, 3]), "evals": 4, "solver": solver}
    x = torch.randn(2, 1, 4, 4, generator=seeded())
    with torch.no_grad():
        assert_close(live(x, **call).sample, merged(x, **call).sample)
        plain = NETWORKS["fpdit"]()(x, **call).sample
    assert not torch.allclose(live(x, **call).sample, plain, atol=1e-4)


def test_what_the_block_binds_has_the_adapter_in_it():
    live, merged = adapted("fpdit"), adapted("fpdit")
    merged.fuse_lora()
    features, cond = torch.randn(2, 4, 8), torch.randn(2, 8)
    models = live, merged, NETWORKS["fpdit"]()
    z = torch.randn(2, 4, 8)
    with torch.no_grad():
        bound = [model.layer.block.bind(features, Conditioning(cond, cond)) for model in models]
        assert_close(bound[0](z), bound[1](z))
        assert not torch.allclose(bound[0](z), bound[2](z), atol=1e-4)


@each_network
def test_a_pipeline_mixes_fuses_and_drops_adapters(kind, tmp_path):
    pipe = pipeline(NETWORKS[kind]())
    plain = drawn(pipe, kind)
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        model = NETWORKS[kind]()
        model.add_adapter(settings(model), name)
        model.save_lora_adapter(tmp_path / name, name)
        pipe.load_lora_weights(tmp_path / name, adapter_name=name)
    assert pipe.get_list_adapters() == {"model": ["one", "two"]}
    pipe.set_adapters("two")
    assert_close(drawn(pipe, kind), drawn(pipeline(model), kind))
    pipe.set_adapters(["one", "two"], [0.5, 0.25])
    mixed = said(pipe.model)
    pipe.fuse_lora()
    assert_close(said(pipe.model), mixed)
    pipe.unfuse_lora()
    pipe.set_adapters(["one", "two"], [0.0, 0.0])
    assert_close(drawn(pipe, kind), plain)
    pipe.delete_adapters("one")
    assert pipe.get_list_adapters() == {"model": ["two"]}
    pipe.unload_lora_weights()
    assert_close(drawn(pipe, kind), plain)  # weights were merged, and taken apart again
    assert layers(pipe.model) == layers(NETWORKS[kind]())


@each_network
def test_a_pipeline_draws_otherwise_with_an_adapter_and_to_the_bit_as_before_without(
    kind, tmp_path
):
    adapted(kind).save_lora_adapter(tmp_path, "style")
    pipe = pipeline(NETWORKS[kind]())
    before = drawn(pipe, kind)
    pipe.load_lora_weights(tmp_path)
    assert not torch.allclose(drawn(pipe, kind), before, atol=1e-3)
    pipe.unload_lora_weights()
    assert torch.equal(drawn(pipe, kind), before)
    pipe.load_lora_weights(tmp_path)  # as often as one likes
    assert not torch.allclose(drawn(pipe, kind), before, atol=1e-3)


@each_network
def test_an_adapted_network_is_offloaded_and_stored_in_eight_bits(kind):
    model, cpu = adapted(kind), torch.device("cpu")
    expected = said(model)
    model.enable_layerwise_casting(
        torch.float8_e4m3fn, torch.float32, skip_modules_pattern=["lora"]
    )
    assert (said(model) - expected).norm() < 0.3 * expected.norm()
    model = adapted(kind)
    model.enable_group_offload(cpu, cpu, offload_type="leaf_level")
    assert_close(said(model), expected)
