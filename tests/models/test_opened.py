"""Networks of others open as they are: SiT by its clock, the DiT of diffusers by its folder."""

import argparse
import json

import pytest
import torch
from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel
from safetensors.torch import load_file, save_file

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.models import DiffusersDiT, load_published, open_dit
from tests import reference
from tests.commands import run
from tests.models import published
from tests.models.test_published import save, training
from tests.sampling.pipelines import seeded, tiny_vae
from tests.toys import lively, tiny, tiny_dit

CLOCKS = {  # what a network is told at the share of noise t
    "thousand": lambda t: 1000 * t,
    "sit": lambda t: 1 - t,
    "unit": lambda t: t,
}
FLOWS = {"flow": 1.0, "flow_prediction": -1.0}  # what stands before `x0 - noise`


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


# SiT


def velocity(state, x, told: float, labels, config):
    """What the published network says, by the equations in float64."""
    weights = published.reference_weights("dit", state)
    t = torch.full((len(x),), told, dtype=torch.float64).numpy()
    said = reference.dit(x, t, labels, weights, config=config)
    return said[:, : x.shape[1]]


@pytest.mark.parametrize("prediction", FLOWS)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_flow_checkpoint_samples_by_its_own_clock(clock, prediction, tmp_path, capsys):
    state = published.state("dit")
    target = tmp_path / "out"
    options = ["--prediction", prediction, "--clock", clock]
    assert run(capsys, "convert", save(state, tmp_path), target, *options)[0] == 0
    pipe = quiet(fpdm.FPDMPipeline.from_pretrained(target))
    assert pipe.model.config["clock"] == clock
    noise, steps = torch.randn(2, 4, 4, 4, generator=seeded()), 4
    drawn = pipe([0, 2], num_inference_steps=steps, latents=noise, output_type="latent").images

    x, labels = noise.double().numpy(), torch.tensor([0, 2]).numpy()
    for index in range(steps):  # from noise, t = 1, to the image, t = 0, in equal strides
        told = CLOCKS[clock](1 - index / steps)
        towards = FLOWS[prediction] * velocity(state, x, told, labels, pipe.model.config)
        x = x + towards / steps
    assert abs(drawn.double().numpy() - x).max() <= 1e-4 * abs(x).max()


def test_sit_samples_as_in_sit(tmp_path):
    """`dx/dt = v(x, t)` from t = 0, noise, to t = 1, the image, by Euler's method."""
    state, steps = published.state("dit"), 5
    model = load_published(save(state, tmp_path), clock="sit")
    pipe = quiet(fpdm.FPDMPipeline(model, Diffusion("flow").scheduler()))
    noise = torch.randn(1, 4, 4, 4, generator=seeded())
    drawn = pipe([1], num_inference_steps=steps, latents=noise, output_type="latent").images
    x = noise.double().numpy()
    for index in range(steps):
        x = x + velocity(state, x, index / steps, torch.tensor([1]).numpy(), model.config) / steps
    assert abs(drawn.double().numpy() - x).max() <= 1e-4 * abs(x).max()


@pytest.mark.parametrize("network", [tiny, tiny_dit])
def test_a_clock_changes_what_is_told_and_nothing_else(network):
    x, y = torch.randn(3, 1, 4, 4), torch.tensor([0, 1, 2])
    plain = network()
    for clock, tell in CLOCKS.items():
        other = network(clock=clock)
        other.load_state_dict(plain.state_dict())
        for share in (0.0, 0.25, 1.0):
            told = torch.tensor(tell(share), dtype=torch.float64)
            expected = plain(x, told, y).sample
            torch.testing.assert_close(other(x, 1000 * share, y).sample, expected)
        conditions = other.prepare(torch.tensor([1000.0, 250.0]), y)
        torch.testing.assert_close(
            other(x, prepared=conditions[1]).sample, other(x, 250.0, y).sample
        )


def test_a_clock_is_saved(tmp_path):
    tiny(clock="sit").save_pretrained(tmp_path)
    assert fpdm.FPDiT.from_pretrained(tmp_path).config["clock"] == "sit"


def test_a_training_checkpoint_of_sit_says_so_itself(tmp_path, capsys):
    args = argparse.Namespace(model="SiT-XL/2", num_classes=3)
    source = save(training(published.state("dit"), args=args), tmp_path)
    assert load_published(source).config["clock"] == "sit"
    assert run(capsys, "convert", source, tmp_path / "out")[0] == 0
    pipe = fpdm.FPDMPipeline.from_pretrained(tmp_path / "out")
    assert (pipe.model.config["clock"], pipe.config["prediction_type"]) == ("sit", "flow")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.pt", ["--prediction", "flow"], "cannot be told from the weights which"),
        ("a.pt", ["--prediction", "flow_prediction"], "cannot be told from the weights which"),
        ("SiT-XL-2-256x256.pt", [], "is named after SiT, and does not say what it predicts"),
        ("my_sit_b.pt", [], "add --prediction flow --clock sit"),
        ("a.pt", ["--prediction", "epsilon", "--clock", "sit"], "this one predicts 'epsilon'"),
        ("a.pt", ["--prediction", "flow", "--clock", "back"], "must be one of thousand, sit, unit"),
    ],
)
def test_a_clock_that_cannot_be_told_is_asked_for(name, options, message, tmp_path, capsys):
    source = save(published.state("dit"), tmp_path, name)
    code, _, error = run(capsys, "convert", source, tmp_path / "out", *options)
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["DiT-XL-2.pt", "site.pt", "visit.pt", "situation.pt"])
def test_other_names_are_no_sit(name, tmp_path, capsys):
    source = save(published.state("dit"), tmp_path, name)
    assert run(capsys, "convert", source, tmp_path / "out")[0] == 0


def test_in_python_a_pipeline_of_flow_matching_asks_for_the_clock(tmp_path):
    model = load_published(save(published.state("dit"), tmp_path))
    fpdm.FPDMPipeline(model, Diffusion("epsilon").scheduler())
    with pytest.raises(InvalidValueError, match="clock: networks of flow matching are told"):
        fpdm.FPDMPipeline(model, Diffusion("flow").scheduler())
    with pytest.raises(InvalidValueError, match="clock='noon': must be one of thousand, sit, unit"):
        load_published(save(published.state("dit"), tmp_path), clock="noon")


# the DiT of diffusers


def theirs(**options) -> DiTTransformer2DModel:
    sizes = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2, "sample_size": 8}
    made = DiTTransformer2DModel(
        **sizes | {"in_channels": 4, "out_channels": 8, "num_embeds_ada_norm": 5} | options
    )
    return lively(made)


def saved(folder, *, whole: bool, **options):
    network = theirs(**options)
    if not whole:
        network.save_pretrained(folder)
        return network
    scheduler = DDIMScheduler(clip_sample=False, beta_start=1e-4, beta_end=0.02)
    DiTPipeline(network, tiny_vae(), scheduler, id2label={0: "tench", 3: "cat"}).save_pretrained(
        folder
    )
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(
        json.dumps(index | {"id2label": {"0": "tench", "3": "cat"}})
    )
    return network


def says_the_same(ours, network) -> None:
    channels, size = network.config["in_channels"], network.config["sample_size"]
    x, y = torch.randn(3, channels, size, size), torch.tensor([0, 3, 5])
    for timestep in (torch.tensor(0), torch.tensor([999, 500, 20]), 333.5):
        told = torch.as_tensor(timestep).expand(3)
        with torch.no_grad():
            expected = network(x, timestep=told, class_labels=y).sample
            made = ours(x, timestep=timestep, class_labels=y).sample
        assert (made - expected).abs().max() <= 1e-5 * expected.abs().max()


OPENERS = [open_dit, load_published, fpdm.DiT.from_pretrained]


@pytest.mark.parametrize("opened", OPENERS, ids=["open_dit", "load_published", "DiT"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_folder_of_diffusers_opens_and_says_what_it_says_there(opened, whole, tmp_path):
    network = saved(tmp_path, whole=whole)
    says_the_same(opened(tmp_path), network)
    if whole:
        says_the_same(opened(tmp_path / "transformer"), network)
        says_the_same(fpdm.DiT.from_pretrained(tmp_path, subfolder="transformer"), network)


@pytest.mark.parametrize(
    "options", [{"out_channels": 4}, {"in_channels": 3, "out_channels": 3}, {"patch_size": 4}]
)
def test_so_it_does_in_other_sizes(options, tmp_path):
    network = saved(tmp_path, whole=False, **options)
    says_the_same(open_dit(tmp_path), network)


def test_what_was_opened_is_saved_and_opened_again(tmp_path):
    network = saved(tmp_path / "a", whole=False)
    open_dit(tmp_path / "a").save_pretrained(tmp_path / "b")
    says_the_same(DiffusersDiT.from_pretrained(tmp_path / "b"), network)


def test_a_whole_pipeline_of_diffusers_draws_what_it_draws_there(tmp_path, capsys):
    saved(tmp_path / "theirs", whole=True)
    stock = quiet(DiTPipeline.from_pretrained(tmp_path / "theirs"))
    call = {"num_inference_steps": 3, "guidance_scale": 1.0}
    noise = torch.randn(2, 4, 8, 8, generator=seeded())
    seed = {"generator": seeded()}
    expected = stock([0, 3], **call, **seed, output_type="np").images
    code, *_ = run(capsys, "convert", tmp_path / "theirs", tmp_path / "ours")
    assert code == 0
    for folder in (tmp_path / "theirs", tmp_path / "ours"):
        pipe = quiet(fpdm.FPDMPipeline.from_pretrained(folder))
        assert pipe.labels == {"tench": 0, "cat": 3}
        drawn = pipe(["tench", "cat"], generator=seeded(), output_type="np", **call)
        assert abs(drawn.images - expected).max() <= 1e-4
        assert sum(step.passes for step in drawn.steps) == 3 * 2
        guided = pipe([0, 3], latents=noise, num_inference_steps=3, guidance_scale=3.0)
        assert len(guided.images) == 2


def test_a_bare_folder_converts(tmp_path, capsys):
    network = saved(tmp_path / "theirs", whole=False)
    assert run(capsys, "convert", tmp_path / "theirs", tmp_path / "ours")[0] == 0
    pipe = quiet(fpdm.FPDMPipeline.from_pretrained(tmp_path / "ours"))
    says_the_same(pipe.model, network)
    assert pipe.scheduler.config.variance_type == "learned_range"
    code, _, error = run(capsys, "convert", tmp_path / "theirs", tmp_path / "b", "--num-heads", 2)
    assert code == 2
    assert "num_heads" in error


# nothing at random


def spoil(folder, change) -> None:
    path = next(folder.glob("*.safetensors"))
    state = load_file(path)
    change(state)
    save_file(state, path, metadata={"format": "pt"})


SPOILS = {
    "missing": (lambda state: state.pop(sorted(state)[0]), "do not make the network|cannot be"),
    "too many": (lambda state: state.update({"head": torch.ones(2)}), "not known: head"),
    "renamed": (
        lambda state: state.update({"x" + sorted(state)[0]: state.pop(sorted(state)[0])}),
        "missing: .* not known: |cannot be",
    ),
    "another shape": (
        lambda state: state.update({sorted(state)[0]: torch.ones(3, 1)}),
        "shape|size|cannot be",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILS)
@pytest.mark.parametrize("kind", ["fpdit", "dit", "diffusers"])
def test_what_weights_lack_is_never_random(kind, spoilt, tmp_path):
    network = {"fpdit": tiny, "dit": tiny_dit, "diffusers": theirs}[kind]()
    network.save_pretrained(tmp_path)
    change, message = SPOILS[spoilt]
    spoil(tmp_path, change)
    cls = fpdm.FPDiT if kind == "fpdit" else fpdm.DiT
    with pytest.raises((InvalidValueError, ValueError, RuntimeError), match=message):
        cls.from_pretrained(tmp_path)


@pytest.mark.parametrize("part", ["model", "vae"])
def test_nor_is_it_in_a_pipeline(part, tmp_path, capsys):
    pipe = fpdm.FPDMPipeline(tiny(in_channels=4), Diffusion().scheduler(), vae=tiny_vae())
    pipe.save_pretrained(tmp_path)
    spoil(tmp_path / part, SPOILS["missing"][0])
    with pytest.raises(InvalidValueError, match=r"do not make|lack"):
        fpdm.FPDMPipeline.from_pretrained(tmp_path)
    code, _, error = run(
        capsys, "sample", "--model", tmp_path, "--classes", 0, "--out", tmp_path / "a.png"
    )
    assert code == 2
    assert len(error.strip().splitlines()) == 1


def test_a_folder_of_another_class_is_named(tmp_path):
    tiny_dit().save_pretrained(tmp_path / "dit")
    tiny().save_pretrained(tmp_path / "fpdit")
    theirs().save_pretrained(tmp_path / "theirs")
    tiny_vae().save_pretrained(tmp_path / "vae")
    for folder, said in (("dit", "DiT"), ("theirs", "DiTTransformer2DModel")):
        with pytest.raises(InvalidValueError, match=f"holds a {said}: a FPDiT cannot be loaded"):
            fpdm.FPDiT.from_pretrained(tmp_path / folder)
    with pytest.raises(InvalidValueError, match="holds a FPDiT: a DiT cannot be loaded from it"):
        fpdm.DiT.from_pretrained(tmp_path / "fpdit")
    with pytest.raises(InvalidValueError, match=r"holds a AutoencoderKL: must hold a DiTTransf"):
        open_dit(tmp_path / "vae")
    with pytest.raises(InvalidValueError, match=r"cannot be read|cannot be opened"):
        open_dit(tmp_path)


def test_a_class_derived_from_one_is_loaded_from_its_folder(tmp_path):
    class Own(fpdm.DiT):
        pass

    model = tiny_dit()
    model.save_pretrained(tmp_path)
    found = Own.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


def test_what_diffusers_says_of_the_loading_is_still_to_be_had(tmp_path):
    tiny().save_pretrained(tmp_path)
    model, told = fpdm.FPDiT.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(model, fpdm.FPDiT)
    assert not told["missing_keys"]
