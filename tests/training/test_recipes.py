"""The configurations that come with the package, and those that build on one another."""

import re

import pytest
import torch

from fpdm.data import Shape
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError, UnknownNameError
from fpdm.training import TrainConfig, Training, load_config
from fpdm.training.building import build_network
from fpdm.training.loop import learning_rate_curve
from fpdm.training.reading import structure_config
from fpdm.training.sources import CONFIGS, read_sources
from tests.commands import run
from tests.data.pictures import CLASSES, encoded, image_folder
from tests.places import DOCS

TINY = ["steps=1", "batch_size=2", "engine.precision=fp32", "model.hidden_size=8"]
TINY += ["model.num_heads=2", "tracking.samples_every=0"]


def one_step(name: str, *overrides: str) -> Training:
    """A configuration of the package, shrunk, after its first step."""
    training = Training(load_config(name, [*TINY, *overrides]))
    (progress,) = training
    assert progress.loss > 0
    assert not progress.skipped
    return training


@pytest.mark.parametrize(("name", "network"), [("emoji", "FPDiT"), ("emoji-dit", "DiT")])
def test_the_emoji_are_trained_on_and_keep_their_names(name, network):
    training = one_step(name, "model.patch_size=8")
    pipe = training.pipeline()
    assert type(pipe.model).__name__ == network
    assert pipe.model.config["num_classes"] == 8
    assert pipe.labels["smileys"] == 5


def test_the_two_networks_of_the_emoji_are_trained_alike():
    implicit, explicit = load_config("emoji"), load_config("emoji-dit")
    assert (implicit.model["network"], explicit.model["network"]) == ("fpdit", "dit")
    assert (implicit.model["hidden_size"], implicit.model["patch_size"]) == (256, 2)
    assert explicit.model["depth"] == 12
    same = set(implicit.model) & set(explicit.model) - {"network"}
    assert all(implicit.model[key] == explicit.model[key] for key in same)
    for key in ("steps", "batch_size", "data", "diffusion", "optimizer", "engine", "ema_decay"):
        assert getattr(implicit, key) == getattr(explicit, key)
    assert (implicit.data, implicit.batch_size) == ({"kind": "emoji", "flip": False}, 256)
    assert implicit.steps >= 4600


LATENTS = ("imagenet", "ffhq", "celeba-hq", "lsun-church")
COUNTS = {  # of parameters, with 1000 classes and with none; latents of 32 × 32 × 4
    ("fpdit", "XL/2"): (86_500_256, 85_348_256),
    ("fpdit", "B/2"): (38_792_480, 38_024_480),
    ("dit", "XL/2"): (674_834_720, 673_682_720),
    ("dit", "B/2"): (130_315_808, 129_547_808),
}


@pytest.mark.parametrize("size", ["XL/2", "B/2"])
@pytest.mark.parametrize("network", ["fpdit", "dit"])
@pytest.mark.parametrize("name", LATENTS)
def test_the_networks_of_the_paper_have_as_many_parameters(name, network, size):
    config = load_config(name, [f"model.network={network}", f"model.preset={size}"])
    classes = 1000 if name == "imagenet" else 0
    shape = Shape(channels=4, size=32, num_classes=classes)
    with torch.device("meta"):
        built = build_network(config.model, shape)
    found = sum(weight.numel() for weight in built.parameters())
    assert found == COUNTS[network, size][0 if classes else 1]


@pytest.mark.parametrize("name", LATENTS)
def test_the_training_is_that_of_the_paper(name):
    config = load_config(name)
    assert config == load_config(name, ["model.preset=XL/2"])
    assert config.data["kind"] == "latents"
    assert config.data["root"] == f"latents/{name}"
    gradient = config.model["gradient"]
    assert (gradient["name"], gradient["max_no_grad"], gradient["max_grad"]) == ("sjfb", 10, 12)
    assert (config.batch_size, config.ema_decay) == (512, 0.9999)
    assert config.class_dropout == (0.1 if name == "imagenet" else 0)
    assert config.diffusion == Diffusion("epsilon")
    rate = learning_rate_curve(config.optimizer, config.steps)
    assert {config.optimizer.learning_rate * rate(step) for step in (0, 99, 399_999)} == {1e-4}
    assert config.optimizer.weight_decay == 0
    explicit = config.model["pre_depth"] + config.model["post_depth"]
    assert 20 * (explicit + config.model["evals"]) == 560


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """Latents of 4 × 4 × 4 of images with classes, and of images without."""
    root = tmp_path_factory.mktemp("latents")
    for name, classes in (("classes", CLASSES), ("none", ("",))):
        encoded(image_folder(root / "images" / name, classes=classes), root / name)
    return root


@pytest.mark.parametrize("network", ["fpdit", "dit"])
@pytest.mark.parametrize("name", LATENTS)
def test_the_recipes_of_the_paper_make_a_step(name, network, latents):
    root = latents / ("classes" if name == "imagenet" else "none")
    overrides = (f"model.network={network}", f"data.root={root}", "engine.workers=0")
    training = one_step(name, *overrides)
    model = training.pipeline().model
    assert model.config["learn_sigma"]
    assert model.config["num_classes"] == (len(CLASSES) if name == "imagenet" else 0)
    assert model.pre_passes == (28 if network == "dit" else 1)


def test_a_preset_stands_for_sizes_and_what_is_given_goes_before():
    sizes = {"hidden_size": 768, "num_heads": 12, "patch_size": 4}
    given = TrainConfig(model={"network": "dit", "preset": "B/4"})
    assert given == TrainConfig(model={"network": "dit", "depth": 12, **sizes})
    narrow = TrainConfig(model={"preset": "B/4", "hidden_size": 24})
    assert narrow == TrainConfig(model={**sizes, "hidden_size": 24})
    deep = load_config("imagenet", ["model.network=dit", "model.preset=L/2"])
    assert (deep.model["depth"], deep.model["hidden_size"]) == (24, 1024)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.preset=XL/3"], "model.preset: No preset is named 'XL/3'"),
        (["model.preset=3"], "model.preset: 3: must be a string, such as 'XL/2'"),
        (["model.network=mlp", "model.preset=XL/2"], "model: there is no 'preset'"),
    ],
)
def test_a_preset_that_there_is_not_is_one_sentence(overrides, said):
    with pytest.raises(InvalidValueError) as caught:
        load_config("digits", overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_presets_leaves_it_out():
    assert load_config("imagenet", ["model.network=mlp"]).model["network"] == "mlp"


def written(folder, **files: str) -> dict:
    for name, content in files.items():
        (folder / f"{name}.toml").write_text(content, encoding="utf-8")
    return {name: folder / f"{name}.toml" for name in files}


def test_a_file_that_builds_on_another_says_only_what_is_otherwise(tmp_path):
    own = 'base = "digits"\nsteps = 7\n[model]\nsolver = "broyden"\n[optimizer]\nwarmup_steps = 3\n'
    config, base = load_config(written(tmp_path, own=own)["own"]), load_config("digits")
    overrides = ["steps=7", "model.solver=broyden", "optimizer.warmup_steps=3"]
    assert config == load_config("digits", overrides) != base
    assert config.model["solver"]["name"] == "broyden"
    assert config.optimizer.learning_rate == base.optimizer.learning_rate


def test_it_may_build_on_a_file_beside_it_which_builds_on_another(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    files = written(tmp_path / "inner", middle='base = "digits"\nsteps = 7\nseed = 1\n')
    files |= written(tmp_path, top='base = "inner/middle.toml"\nseed = 2\n')
    monkeypatch.chdir(tmp_path / "inner")
    config = load_config(files["top"])
    assert (config.steps, config.seed, config.batch_size) == (7, 2, 128)
    assert load_config(files["top"], ["seed=3"]).seed == 3


def test_what_another_component_does_not_have_is_left_out(tmp_path):
    own = 'base = "digits"\ndata = "emoji"\n[model]\nnetwork = "dit"\ndepth = 3\n'
    config = load_config(written(tmp_path, own=own)["own"])
    expected = load_config("digits", ["data.kind=emoji", "model.network=dit", "model.depth=3"])
    assert config == expected
    assert config.model["hidden_size"] == 128


def test_a_base_that_cannot_be_is_one_sentence(tmp_path):
    files = written(
        tmp_path,
        here='base = "there.toml"\n',
        there=f'base = "../{tmp_path.name}/here.toml"\n',
        number="base = 3\n",
        absent='base = "digit"\n',
        damaged='base = "broken.toml"\n',
        broken="steps = = 3\n",
    )
    with pytest.raises(InvalidValueError, match="builds on itself"):
        load_config(files["here"])
    with pytest.raises(InvalidValueError, match=r"number\.toml: base=3: must name a configuration"):
        load_config(files["number"])
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        load_config(files["absent"])
    with pytest.raises(InvalidValueError, match=r"broken\.toml cannot be read as TOML"):
        load_config(files["damaged"])
    with pytest.raises(InvalidValueError, match="there is no 'base'"):
        structure_config({"base": "digits"})


def test_the_help_and_the_reference_name_every_configuration(capsys):
    _, said, _ = run(capsys, "train", "--help")
    page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    names = {path.stem for path in CONFIGS.glob("*.toml")}
    assert len(names) == 9
    for name in names:
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", said), name
        assert f"`{name}`" in page


def test_the_program_says_so_before_anything_is_loaded(tmp_path, capsys):
    path = written(tmp_path, absent='base = "digit"\n')["absent"]
    code, _, error = run(capsys, "train", path, "--out", tmp_path / "out")
    assert (code, len(error.strip().splitlines())) == (2, 1)
    assert len(read_sources("emoji-dit")) == 2
