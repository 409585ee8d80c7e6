"""A network says what it predicts, and what does not fit it is refused in one sentence."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.configuration_utils import register_to_config

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.models import SavedNetwork
from fpdm.solution import PREDICTIONS, Denoised
from fpdm.training import Training, loop
from tests.sampling.pipelines import draw, images, pipeline
from tests.toys import tiny, tiny_dit
from tests.training.tiny import config


class Own(SavedNetwork):
    """A network of one's own, which says what it predicts as an option."""

    pre_passes, post_passes = 1, 0

    @register_to_config
    def __init__(self, sample_size=4, in_channels=1, num_classes=3, prediction_type="v_prediction"):
        assert (sample_size, in_channels, num_classes) == (4, 1, 3)
        assert prediction_type in (None, *PREDICTIONS)
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, timestep, class_labels):
        self.check_call(x, timestep, class_labels)
        return Denoised(self.weight * x)


class Fixed(Own):
    """One that says it as an attribute of its class."""

    prediction_type = "v_prediction"

    def __init__(self):
        super().__init__(prediction_type=None)


def saying(network: str, predicted: str):
    model = {"fpdit": tiny, "dit": lambda: tiny_dit(depth=1)}[network]()
    model.prediction_type = predicted
    return model


NETWORKS = {
    "FPDiT": lambda: saying("fpdit", "v_prediction"),
    "DiT": lambda: saying("dit", "v_prediction"),
    "Own": Own,
    "Fixed": Fixed,
}
OTHERS = [("epsilon", "ddim"), ("epsilon", "dpm++"), ("sample", "ddpm"), ("flow", "euler")]


def started(scheduler):
    scheduler.set_timesteps(4)
    return scheduler


def run(model, scheduler, labels=(0, 1), **options):
    layer = getattr(model, "layer", None)
    budget = len(started(scheduler).timesteps) * (
        model.pre_passes + model.post_passes + 2 * bool(layer)
    )
    labels = torch.tensor(labels) if isinstance(labels, (tuple, list)) else labels
    latents = torch.ones(2, 1, 4, 4)
    with torch.no_grad():
        steps = fpdm.sample(model, scheduler, latents, labels, budget=budget, **options)
        return list(steps)[-1].sample


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(("other", "sampler"), OTHERS)
def test_a_scheduler_that_expects_something_else_is_refused(kind, other, sampler):
    model, scheduler = NETWORKS[kind](), Diffusion(other).scheduler(sampler)
    sentence = "The network predicts 'v_prediction', but .* expects '.*': use one that fits"
    with pytest.raises(InvalidValueError, match=sentence):
        fpdm.FPDMPipeline(model, scheduler)
    with pytest.raises(InvalidValueError, match=sentence):
        run(model, scheduler)
    pipe = pipeline(model, Diffusion().scheduler())
    with pytest.raises(InvalidValueError, match=sentence):
        draw(pipe, budget=None, scheduler=scheduler)
    pipe.scheduler = scheduler
    with pytest.raises(InvalidValueError, match=sentence):
        draw(pipe, budget=None)


@pytest.mark.parametrize("kind", NETWORKS)
def test_one_that_fits_is_used(kind):
    model = NETWORKS[kind]()
    assert images(pipeline(model), budget=None).shape == (3, 1, 4, 4)
    assert run(model, Diffusion().scheduler()).isfinite().all()
    with pytest.raises(InvalidValueError, match="prediction_type='epsilon': the network says"):
        fpdm.FPDMPipeline(model, Diffusion().scheduler(), prediction_type="epsilon")


def test_a_pipeline_asks_the_network_before_the_scheduler():
    pipe = pipeline(saying("fpdit", "flow"), Diffusion("flow").scheduler("dpm++"))
    assert pipe.config["prediction_type"] == "flow"  # and not what dpm++ is given in its place
    assert images(pipe, scheduler="unipc").isfinite().all()


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm++", "unipc"])
def test_the_sign_of_a_velocity_follows_from_what_the_network_says(sampler):
    silent, scheduler = tiny(), Diffusion("flow").scheduler(sampler)
    towards, away = saying("fpdit", "flow"), saying("fpdit", "flow_prediction")
    expected = run(silent, scheduler)
    assert torch.equal(run(towards, scheduler), expected)
    assert torch.equal(run(towards, scheduler, negate=False), expected)
    assert torch.equal(run(away, scheduler), run(silent, scheduler, negate=True))
    with pytest.raises(InvalidValueError, match="negate=True: the network predicts 'flow'"):
        run(towards, scheduler, negate=True)


def test_a_scheduler_of_diffusers_is_given_the_velocity_that_it_expects():
    theirs, silent = FlowMatchEulerDiscreteScheduler(), tiny()
    assert torch.equal(run(saying("fpdit", "flow"), theirs), run(silent, theirs, negate=True))
    assert torch.equal(run(saying("fpdit", "flow_prediction"), theirs), run(silent, theirs))


def test_of_one_that_says_nothing_it_is_taken_that_it_predicts_what_is_expected():
    for kind, sampler in (("v_prediction", "ddim"), *OTHERS):
        assert tiny().prediction_type is None
        assert run(tiny(), Diffusion(kind).scheduler(sampler)).isfinite().all()


@pytest.mark.parametrize("predicted", PREDICTIONS)
@pytest.mark.parametrize("kind", ["fpdit", "dit"])
def test_it_is_saved_and_loaded(kind, predicted, tmp_path, caplog):
    model = saying(kind, predicted)
    model.save_pretrained(tmp_path)
    caplog.set_level("WARNING")
    assert type(model).from_pretrained(tmp_path).prediction_type == predicted
    assert type(model).from_config(model.config).prediction_type == predicted
    assert not caplog.messages
    with pytest.raises(InvalidValueError, match="prediction_type='noise': must be one of"):
        model.prediction_type = "noise"


@pytest.mark.parametrize("predicted", ["epsilon", "flow"])
def test_a_training_writes_down_what_is_learned(predicted, tmp_path):
    training = Training(config(diffusion=Diffusion(predicted)))
    assert training.bare.prediction_type == predicted
    training.pipeline().save_pretrained(tmp_path)
    assert fpdm.FPDMPipeline.from_pretrained(tmp_path).model.prediction_type == predicted


def test_a_training_of_something_else_is_refused(monkeypatch):
    monkeypatch.setattr(loop, "build_network", lambda *_: saying("fpdit", "epsilon"))
    with pytest.raises(InvalidValueError, match=r"diffusion\.prediction='v_prediction': the FPDiT"):
        Training(config())


LABELS = {
    "3": (3, "must be a tensor of shape"),
    "a list": ([0, 1], "must be a tensor of shape"),
    "text": ("cat", "must be a tensor of shape"),
    "too few": (torch.tensor([0]), r"class_labels has shape \(1,\): must be \(2,\)"),
    "too many": (torch.tensor([0, 1, 2]), r"class_labels has shape \(3,\): must be \(2,\)"),
    "none": (torch.tensor([], dtype=torch.int64), r"has shape \(0,\): must be \(2,\)"),
    "a number": (torch.tensor(1), r"class_labels has shape \(\): must be \(2,\)"),
    "a column": (torch.tensor([[0], [1]]), r"has shape \(2, 1\): must be \(2,\)"),
    "one hot": (torch.eye(2, dtype=torch.int64), r"has shape \(2, 2\): must be \(2,\)"),
    "too large": (torch.tensor([0, 4]), r"class_labels=\[0, 4\]: must be whole numbers from 0"),
    "negative": (torch.tensor([0, -1]), r"class_labels=\[0, -1\]: must be whole numbers from 0"),
    "float": (torch.tensor([0.0, 1.0]), r"class_labels are torch\.float32: must be int64"),
    "bool": (torch.tensor([True, False]), r"class_labels are torch\.bool: must be int64"),
    "bytes": (torch.tensor([0, 1], dtype=torch.uint8), r"are torch\.uint8: must be int64"),
    "elsewhere": (torch.tensor([0, 1], device="meta"), "are on meta, and the images on cpu"),
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("case", LABELS)
def test_labels_that_do_not_fit_the_batch_are_one_sentence(kind, case):
    model, (labels, sentence) = NETWORKS[kind](), LABELS[case]
    for call in (
        lambda: model(torch.ones(2, 1, 4, 4), timestep=3, class_labels=labels),
        lambda: fpdm.sample(
            model,
            started(Diffusion().scheduler()),
            torch.ones(2, 1, 4, 4),
            labels,
            budget=4 * (model.pre_passes + model.post_passes + bool(getattr(model, "layer", 0))),
        ),
    ):
        with pytest.raises(InvalidValueError, match=sentence) as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", NETWORKS)
def test_no_labels_are_the_label_for_none_in_a_run_and_an_error_in_a_call(kind):
    model = NETWORKS[kind]().eval()
    with pytest.raises(InvalidValueError, match="class_labels: must be given"):
        model(torch.ones(2, 1, 4, 4), timestep=3, class_labels=None)
    passes = 4 * (model.pre_passes + model.post_passes + bool(getattr(model, "layer", 0)))

    def drawn(labels):
        scheduler = started(Diffusion().scheduler())
        with torch.no_grad():
            run = fpdm.sample(model, scheduler, torch.ones(2, 1, 4, 4), labels, budget=passes)
            return list(run)[-1].sample

    if model.null_class is None:
        with pytest.raises(InvalidValueError, match="nothing stands for none: must be given"):
            drawn(None)
    else:
        assert torch.equal(drawn(None), drawn(torch.full((2,), model.null_class)))


LISTS = ("a list", "text", "bytes", "too few", "too many")
"""What a pipeline takes, or says something else of."""


@pytest.mark.parametrize("case", [case for case in LABELS if case not in LISTS])
def test_so_they_are_of_a_pipeline(case):
    labels = LABELS[case][0]
    pipe = pipeline()
    with pytest.raises(fpdm.FPDMError, match="class_labels") as raised:
        pipe(labels, budget=20, latents=torch.ones(2, 1, 4, 4), num_inference_steps=4)
    assert "\n" not in str(raised.value)
