"""A network of one's own: three modules, built, saved, loaded and trained, or refused."""

import pytest
import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

import fpdm
from fpdm.data import Tensors
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.models import MLP, FixedPointNetwork, register_to_config
from fpdm.plugins.options import parameters
from fpdm.training import Run, TrainConfig, Training


class Before(nn.Linear):
    def forward(self, x, cond):
        return torch.tanh(super().forward(x) + cond)


class Skipping(Before):
    """Also hands on what goes around."""

    def forward(self, x, cond):
        return super().forward(x, cond), x, 2 * x


class Pull(nn.Linear):
    def bind(self, features, cond):
        return lambda z: features + 0.5 * torch.tanh(self(z) + cond)


class After(nn.Linear):
    def forward(self, z, cond, *around):
        return super().forward(z + cond) + sum(around)


class Points(FixedPointNetwork):
    @register_to_config
    def __init__(self, *, in_channels=2, num_classes=0, width=8, skip=False, **solving):  # noqa: ARG002
        before = (Skipping if skip else Before)(in_channels, width)
        after = After(width, in_channels)
        super().__init__(before, Pull(width, width), after, width=width, **solving)


class Fixed(FixedPointNetwork):
    """Says how it solves, and takes no other word for it."""

    pre_passes = 3

    @register_to_config
    def __init__(self, *, in_channels=2, width=8):
        before, after = Before(in_channels, width), After(width, in_channels)
        super().__init__(before, Pull(width, width), after, width=width, solver="broyden", evals=5)


def said(model, count=3):
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    call = {"class_labels": torch.zeros(count, dtype=torch.int64)} if model.null_class else {}
    with torch.no_grad():
        return model(x, timestep=500.0, evals=4, **call).sample


@pytest.mark.parametrize(
    "model",
    [
        Points(solver={"name": "anderson", "memory": 3}, init="reuse", evals=7),
        Points(num_classes=3, gradient="jfb"),
        Fixed(),
    ],
    ids=["with options", "with classes", "fixed"],
)
def test_what_it_is_built_from_is_saved_and_loaded(model, tmp_path):
    model.eval().save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    public = [{k: v for k, v in each.config.items() if k[0] != "_"} for each in (loaded, model)]
    assert public[0] == public[1]
    assert loaded.layer.extra_repr() == model.layer.extra_repr()
    assert torch.equal(said(loaded), said(model))


def test_how_it_solves_is_an_option_of_what_hands_it_on():
    assert {"solver", "init", "gradient", "evals", "training_solver", "width"} <= {
        *parameters(Points)
    }
    assert {*parameters(Fixed)} == {"in_channels", "width"}


def test_what_goes_around_comes_to_the_part_after():
    model = Points(skip=True).eval()
    straight = Points().eval()
    straight.load_state_dict(model.state_dict())
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(said(model), said(straight) + 3 * x)


def test_it_counts_the_passes_that_it_says():
    scheduler = fpdm.EvenDDIMScheduler()
    scheduler.set_timesteps(4)
    steps = list(fpdm.sample(Fixed().eval(), scheduler, torch.randn(2, 2), budget=24))
    assert [step.passes for step in steps] == [6, 6, 6, 6]
    assert [step.iterations for step in steps] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((Before(2, 4), nn.Linear(4, 4), After(4, 2)), r"block: a Linear has no bind"),
        ((Before(2, 4), lambda z: z, After(4, 2)), "block: a function is given"),
        ((None, Pull(4, 4), After(4, 2)), "pre: a NoneType is given"),
    ],
)
def test_parts_that_are_none_are_refused(parts, message):
    class Broken(FixedPointNetwork):
        @register_to_config
        def __init__(self, *, in_channels=2):  # noqa: ARG002
            super().__init__(*parts, width=4)

    with pytest.raises(InvalidValueError, match=message):
        Broken()


class Silent(ModelMixin, ConfigMixin):
    """Is saved, and says nothing of itself."""

    config_name = "config.json"

    @register_to_config
    def __init__(self, in_channels=2):  # noqa: ARG002
        super().__init__()


POINTS = Tensors(torch.randn(16, 2))
LABELLED = Tensors(torch.randn(16, 2), labels=torch.arange(16) % 5)


@pytest.mark.parametrize(
    ("network", "data", "message"),
    [
        (nn.Linear(2, 2), POINTS, "a Linear cannot be saved: derive it from"),
        (Silent(), POINTS, "a Silent has no pre_passes, post_passes, null_class"),
        (Points(in_channels=3), POINTS, r"draws samples of \(3,\), and those of the data are \(2,"),
        (Points(num_classes=3), LABELLED, "has 3 classes, and the data 5"),
        (MLP(condition_size=4), POINTS, r"takes a condition of size \(4,\), and that of the data"),
    ],
)
def test_a_network_that_does_not_fit_is_one_sentence(network, data, message):
    with pytest.raises(FPDMError, match=message) as raised:
        Training(TrainConfig(steps=1, batch_size=4), data=data, network=network)
    assert "\n" not in str(raised.value)


class Square(MLP):
    """Of images, and told nothing."""

    @register_to_config
    def __init__(self, *, in_channels=1, sample_size=4, width=8):
        super().__init__(in_channels=in_channels, sample_size=sample_size, width=width)


def test_data_with_a_condition_want_a_network_that_takes_it():
    data = Tensors(torch.rand(16, 1, 4, 4), condition=torch.randn(16, 3))
    with pytest.raises(InvalidValueError, match="takes none"):
        Training(TrainConfig(), data=data, network=Square())


@pytest.fixture
def config():
    return TrainConfig(
        steps=4,
        batch_size=4,
        tracking={"samples_every": 4, "every": 1},
        checkpoints={"every": 2},
    )


def test_a_network_is_trained_resumed_and_left_as_it_was(config, tmp_path):
    network = Points()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for progress in Run(Training(config, data=POINTS, network=network), tmp_path):
        if progress.step == 2:
            break
    run = Run(Training(config, data=POINTS, network=Points()), str(tmp_path))
    assert run.resumed == 2
    list(run)
    whole = Training(config, data=POINTS, network=network)
    list(whole)
    weights = whole.averaged()
    made = run.training.averaged()
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert made.keys() == weights.keys()
    assert (tmp_path / "samples" / "0000004.png").exists()


def test_a_run_of_another_network_is_refused(config, tmp_path):
    list(Run(Training(config, data=POINTS, network=Points()), tmp_path))
    for other in ({"network": Points(width=16)}, {"network": MLP()}, {"data": POINTS}):
        given = {"data": POINTS} | other
        if "network" not in other:
            given |= {"network": None}
        longer = TrainConfig(
            steps=6,
            batch_size=4,
            tracking={"samples_every": 4, "every": 1},
            checkpoints={"every": 2},
            model=config.model if other.get("network") else {"network": "mlp"},
        )
        with pytest.raises(InvalidValueError, match="is of another"):
            Run(Training(longer, **given), tmp_path)


def test_data_without_classes_need_no_dummy_labels():
    training = Training(TrainConfig(steps=1, batch_size=4), data=POINTS, network=Points())
    assert training.network.embeddings.label is None
    list(training)
    assert training.pipeline()(num_images=2, budget=12, num_inference_steps=3).images.shape == (
        2,
        2,
    )
