"""Published checkpoints convert, load and sample; whatever else is in a file is refused by name."""

import argparse
import json
import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.models import PRESETS, load_published
from tests import reference
from tests.commands import run
from tests.models import published
from tests.runtime.full import full_beyond, tree
from tests.sampling.pipelines import tiny_vae

KINDS = ("dit", "fpdm")


def save(content, folder, name="model.pt"):
    torch.save(content, folder / name)
    return folder / name


def training(state: dict, **changes) -> dict:
    """What a training run of the published codes writes."""
    zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    args = argparse.Namespace(model="DiT-S/2", global_batch_size=256)
    whole = {"model": zeros, "ema": state, "opt": {"state": {}}, "args": args, "train_steps": 400}
    return whole | changes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["bare", "training", "safetensors"])
@pytest.mark.parametrize("null_row", [True, False])
def test_a_checkpoint_converts_loads_and_samples(kind, form, null_row, tmp_path, capsys):
    state = published.state(kind, rows=4 if null_row else 3)
    told = () if null_row else ("--num-classes", 3)
    if form == "safetensors":
        source = tmp_path / "model.safetensors"
        save_file(state, source)
    else:
        args = argparse.Namespace(num_classes=3)
        told = () if form == "training" else told
        source = save(state if form == "bare" else training(state, args=args), tmp_path)
    target = tmp_path / "converted"
    code, printed, _ = run(capsys, "convert", source, target, *told)
    assert code == 0
    assert str(target) in " ".join(printed.split()).replace(" ", "")
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "converted"}
    pipe = fpdm.FPDMPipeline.from_pretrained(target)
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe.model) is published.network(kind)
    assert pipe.model.null_class == (3 if null_row else None)
    sizes = {"hidden_size": 64, "patch_size": 2, "sample_size": 4, "in_channels": 4}
    depths = {"depth": 3} if kind == "dit" else {"pre_depth": 1, "post_depth": 2}
    found = {"num_classes": 3, "num_heads": 1, "learn_sigma": True, "mlp_ratio": 4.0}
    for name, value in (sizes | depths | found).items():
        assert pipe.model.config[name] == value, name
    assert pipe.scheduler.config.variance_type == "learned_range"
    scale = 1.5 if null_row else 1.0
    drawn = pipe([0, 2], num_inference_steps=3, guidance_scale=scale, output_type="latent").images
    assert drawn.shape == (2, 4, 4, 4)
    assert drawn.isfinite().all()
    if not null_row:
        with pytest.raises(InvalidValueError, match="no class that stands for none"):
            pipe([0], num_inference_steps=3, guidance_scale=2.0, output_type="latent")
        with pytest.raises(InvalidValueError, match=r"\[3\] out of range; classes go from 0 to 2"):
            pipe([3], num_inference_steps=3, output_type="latent")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_timestep", [True, False])
def test_a_converted_network_equals_the_equations_on_the_published_tensors(
    kind, on_timestep, tmp_path
):
    if kind == "dit" and not on_timestep:
        return
    state = published.state(kind, dim=48, patch=4, grid=2, channels=3, outputs=3, rows=6)
    model = load_published(
        save(state, tmp_path), num_heads=3, condition_pre_post_on_timestep=on_timestep
    )
    x, t, y = torch.randn(3, 3, 8, 8), torch.tensor([0, 500, 999]), torch.tensor([0, 4, 5])
    options = {} if kind == "dit" else {"evals": 4, "solver": "naive"}
    with torch.no_grad():
        out = model(x, timestep=t, class_labels=y, **options).sample
    weights = published.reference_weights(kind, state)
    given = (x.double().numpy(), t.double().numpy(), y.numpy(), weights)
    if kind == "dit":
        expected = reference.dit(*given, config=model.config)
    else:
        expected = reference.fpdit(*given, config=model.config, evals=4)
    assert abs(out.double().numpy() - expected).max() <= 1e-5 * abs(expected).max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_of_a_checkpoint_is_kept_bit_for_bit(dtype, tmp_path):
    state = published.state("fpdm", dtype=dtype)
    model = load_published(save(state, tmp_path))
    assert model.dtype == dtype
    assert not model.config["stored_positions"]
    assert torch.equal(
        model.layer.block.narrow.weight, state["block_fixed_point_projection_fc2.weight"]
    )


def test_positions_of_its_own_are_kept_and_saved(tmp_path, capsys):
    state = published.state("dit")
    state["pos_embed"] = torch.randn(1, 4, 64)
    code, _, remarks = run(capsys, "convert", save(state, tmp_path), tmp_path / "out")
    assert code == 0
    assert "not the usual sines and cosines" in " ".join(remarks.split())
    model = fpdm.FPDMPipeline.from_pretrained(tmp_path / "out").model
    assert torch.equal(model.encoder.positions, state["pos_embed"])


def test_heads_are_those_of_the_published_widths_or_asked_for(tmp_path):
    for preset in {preset.hidden_size: preset for preset in PRESETS.values()}.values():
        state = published.state("dit", dim=preset.hidden_size, depth=1, grid=1, rows=2)
        assert load_published(save(state, tmp_path)).config["num_heads"] == preset.num_heads
    path = save(published.state("dit", dim=48), tmp_path)
    with pytest.raises(InvalidValueError, match="width 48 is of no published network"):
        load_published(path)
    assert load_published(path, num_heads=4).config["num_heads"] == 4
    with pytest.raises(InvalidValueError, match="num_heads=5 must divide hidden_size=48"):
        load_published(path, num_heads=5)


def test_the_averaged_weights_are_taken_unless_the_others_are_asked_for(tmp_path):
    state = published.state("dit")
    path = save(training(state), tmp_path)
    assert load_published(path).embeddings.label.weight.any()
    assert not load_published(path, weights="model").embeddings.label.weight.any()
    only = {"model": state, "train_steps": 3}
    assert load_published(save(only, tmp_path)).embeddings.label.weight.any()
    with pytest.raises(InvalidValueError, match="no 'ema' weights: it has model"):
        load_published(path, weights="ema")
    with pytest.raises(InvalidValueError, match="no 'ema' weights: it is no training checkpoint"):
        load_published(save(state, tmp_path), weights="ema")


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_wrapped_networks_are_unwrapped(wrapper, tmp_path):
    state = {wrapper + name: tensor for name, tensor in published.state("fpdm").items()}
    assert isinstance(load_published(save(state, tmp_path)), fpdm.FPDiT)


def test_an_unconditional_checkpoint_has_one_row(tmp_path):
    model = load_published(save(published.state("dit", rows=1), tmp_path))
    assert (model.config["num_classes"], model.null_class) == (0, 0)
    noted = training(published.state("dit", rows=1), args={"num_classes": 1})
    model = load_published(save(noted, tmp_path))
    assert (model.config["num_classes"], model.null_class) == (1, None)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


def without(name):
    def change(state):
        del state[name]

    return change


def with_(name, value):
    def change(state):
        state[name] = value

    return change


WRONG = {
    "missing": (without("blocks.1.mlp.fc2.bias"), "missing: blocks.1.mlp.fc2.bias."),
    "missing-anchor": (without("pos_embed"), "missing pos_embed; it has blocks.0"),
    "missing-block": (
        lambda state: [state.pop(name) for name in list(state) if "blocks.0." in name],
        "missing: blocks.0.adaLN_modulation.1.bias, ",
    ),
    "extra": (with_("head.weight", torch.ones(3)), "not known: head.weight."),
    "shape": (
        with_("blocks.2.attn.qkv.weight", torch.ones(3, 64)),
        "of a wrong shape: blocks.2.attn.qkv.weight is (3, 64) and must be (192, 64).",
    ),
    "dimensions": (with_("pos_embed", torch.ones(4, 64)), "must have 3 dimensions"),
    "positions": (with_("pos_embed", torch.ones(1, 5, 64)), "must be a square number"),
    "position-width": (
        with_("pos_embed", torch.ones(1, 4, 32)),
        "pos_embed is (1, 4, 32) and must",
    ),
    "outputs": (
        with_("final_layer.linear.weight", torch.ones(20, 64)),
        "has 20 rows: must be 16, or twice as many",
    ),
    "both-kinds": (
        lambda state: state.update(published.state("fpdm")),
        "not known: blocks.0.adaLN_modulation.1.bias, ",
    ),
    "infinite": (
        lambda state: state["blocks.0.attn.proj.bias"].fill_(torch.nan),
        "holds inf or NaN: blocks.0.attn.proj.bias.",
    ),
    "integers": (
        with_("blocks.0.attn.proj.bias", torch.ones(64, dtype=torch.int64)),
        "must be dense tensors of torch.float16, torch.bfloat16, torch.float32, torch.float64: "
        "blocks.0.attn.proj.bias",
    ),
    "no-tensor": (with_("blocks.0.attn.proj.bias", "text"), "holds no weights"),
    "code": (
        with_("blocks.0.attn.proj.bias", RunsCode()),
        "posix.mkdir, which is neither a tensor",
    ),
    "module": (
        with_("network", nn.Linear(2, 2)),
        "torch.nn.modules.linear.Linear, which is neither",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_wrong_variant_has_its_own_error_and_leaves_nothing(
    wrong, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    change, message = WRONG[wrong]
    state = published.state("dit")
    change(state)
    save(state, tmp_path)
    code, printed, error = run(capsys, "convert", "model.pt", "out")
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert printed == ""
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


FILES = {
    "text": (lambda path: path.write_text("hello"), "is no checkpoint of PyTorch"),
    "empty": (lambda path: path.write_bytes(b""), "is no checkpoint of PyTorch"),
    "truncated": (
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "is no checkpoint of PyTorch, or is damaged or incomplete",
    ),
    "absent": (lambda path: path.unlink(), "there is no such file"),
    "tensor": (lambda path: torch.save(torch.ones(3), path), "holds a Tensor: must hold a state"),
    "empty-dict": (lambda path: torch.save({}, path), "holds no weights"),
    "other-dict": (lambda path: torch.save({"epoch": 3}, path), "holds no weights"),
    "other-network": (
        lambda path: torch.save(nn.Linear(2, 2).state_dict(), path),
        "no checkpoint of DiT or FPDM, or an incomplete one: missing x_embedder.proj.weight",
    ),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_no_checkpoint_is_refused(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(published.state("dit"), tmp_path)
    damage, message = FILES[file]
    damage(path)
    code, _, error = run(capsys, "convert", "model.pt", "out")
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(InvalidValueError, match="is no safetensors file"):
        load_published(tmp_path / "model.safetensors")


def test_options_of_convert(tmp_path, capsys):
    source = save(published.state("fpdm"), tmp_path)
    tiny_vae().save_pretrained(tmp_path / "vae")
    (tmp_path / "names.json").write_text(json.dumps({"0": "cat", "1": "dog"}))
    options = [
        *("--vae", tmp_path / "vae", "--id2label", tmp_path / "names.json", "--num-heads", 2),
        *("--no-condition-pre-post-on-timestep", "--prediction", "v_prediction"),
    ]
    target = tmp_path / "out"
    assert run(capsys, "convert", source, target, *options)[0] == 0
    pipe = fpdm.FPDMPipeline.from_pretrained(target)
    pipe.set_progress_bar_config(disable=True)
    assert pipe.labels == {"cat": 0, "dog": 1}
    assert pipe.model.config["num_heads"] == 2
    assert not pipe.model.config["condition_pre_post_on_timestep"]
    assert pipe.config["prediction_type"] == "v_prediction"
    assert pipe(["dog"], num_inference_steps=2).images[0].size == (8, 8)
    picture = tmp_path / "a.png"
    code, *_ = run(capsys, "sample", "--model", target, "--classes", "dog", 2, "--out", picture)
    assert code == 0
    assert picture.exists()

    code, _, error = run(capsys, "convert", source, target)
    assert code == 2
    assert "already exists" in error
    (target / "precious.txt").write_text("keep")
    assert run(capsys, "convert", source, target, "--overwrite")[0] == 0
    assert (target / "precious.txt").read_text() == "keep"


@pytest.mark.filterwarnings("ignore")  # of diffusers, about shards
def test_overwriting_leaves_nothing_of_the_model_before(tmp_path, capsys):
    target = tmp_path / "out"
    (tmp_path / "link").symlink_to(target)
    first = save(published.state("dit", seed=1), tmp_path, "first.pt")
    pipe = fpdm.FPDMPipeline(load_published(first), Diffusion("epsilon").scheduler("ddpm"))
    pipe.save_pretrained(target, max_shard_size="100KB")
    assert len(list((target / "model").glob("*.safetensors"))) > 1
    (target / "training.json").write_text("of another network")
    second = save(published.state("dit", seed=2), tmp_path, "second.pt")
    code, printed, error = run(capsys, "convert", second, tmp_path / "link", "--overwrite")
    assert code == 0
    assert "float32: []" not in printed + error
    assert (tmp_path / "link").is_symlink()
    assert not (target / "training.json").exists()
    found = fpdm.FPDMPipeline.from_pretrained(target).model.state_dict()
    wanted = load_published(second).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


@pytest.mark.parametrize(("dim", "hidden"), [(448, 488), (704, 120), (64, 101)])
def test_any_width_of_the_mlp_is_read_off_the_shapes(dim, hidden, tmp_path):
    state = published.state("dit", dim=dim, depth=1)
    state["blocks.0.mlp.fc1.weight"] = torch.zeros(hidden, dim)
    state["blocks.0.mlp.fc1.bias"] = torch.zeros(hidden)
    state["blocks.0.mlp.fc2.weight"] = torch.zeros(dim, hidden)
    network = load_published(save(state, tmp_path))
    assert network.config["mlp_ratio"] == hidden / dim


@pytest.mark.parametrize(
    "odd",
    [
        lambda tensor: tensor.to(torch.float8_e4m3fn),
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.to(torch.complex64),
    ],
    ids=["float8", "sparse", "meta", "complex"],
)
def test_odd_tensors_are_named(odd, tmp_path):
    state = published.state("dit")
    state["blocks.0.mlp.fc1.weight"] = odd(state["blocks.0.mlp.fc1.weight"])
    with pytest.raises(InvalidValueError, match=r"must be dense .*: blocks.0.mlp.fc1.weight"):
        load_published(save(state, tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-heads", 7], "num_heads=7 must divide hidden_size=64"),
        (["--num-classes", 9], "has 4 rows: must be 9 for num_classes=9, or one more"),
        (["--weights", "best"], "weights='best': must be one of ema, model"),
        (["--prediction", "noise"], "prediction='noise': must be one of"),
        (["--vae", "no/such/vae"], "The VAE no/such/vae cannot be loaded"),
        (["--id2label", "model.pt"], "cannot be read as JSON"),
        (["--id2label", "absent.json"], "absent.json"),
    ],
)
def test_a_wrong_option_of_convert_is_one_sentence(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    save(published.state("fpdm"), tmp_path)
    code, _, error = run(capsys, "convert", "model.pt", "out", *options)
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_only_a_pipeline_of_ours_is_overwritten(tmp_path, capsys):
    source, target = save(published.state("dit"), tmp_path), tmp_path / "out"
    for name in ("model/mine.bin", "vae/mine", "model_index.json", "training.json"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("{}")
    before = tree(target)
    code, _, error = run(capsys, "convert", source, target, "--overwrite")
    assert code == 2
    assert "holds model, model_index.json, vae, and no pipeline of this library" in error
    assert tree(target) == before


def test_a_training_with_checkpoints_is_not_converted_over(tmp_path, capsys):
    source, target = save(published.state("dit"), tmp_path), tmp_path / "out"
    (target / "checkpoints" / "0000001" / "training").mkdir(parents=True)
    code, _, error = run(capsys, "convert", source, target, "--overwrite")
    assert code == 2
    assert "holds a training with its checkpoints" in error


@pytest.mark.parametrize("limit", [10, 1_000])
def test_a_full_disk_leaves_the_pipeline_before(limit, tmp_path, capsys):
    source, target = save(published.state("dit"), tmp_path), tmp_path / "out"
    assert run(capsys, "convert", source, target)[0] == 0
    before = tree(target)
    with full_beyond(limit):
        code, _, error = run(capsys, "convert", source, target, "--overwrite")
    assert code == 2
    assert f"{target} cannot be written: File too large" in error
    assert tree(target) == before
