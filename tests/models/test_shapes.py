"""Samples of any shape, and whatever a network is told: trained, saved, loaded and drawn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.checks import check_extents
from fpdm.data import Tensors
from fpdm.errors import InvalidValueError
from fpdm.training import TrainConfig, Training

SHAPES = [(3,), (2, 5), (1, 4, 6), (1, 4, 4), (4, 4, 6), (2, 2, 3, 4)]
TOLD = ["nothing", "classes", "vector", "tokens"]
NETWORKS = {
    "mlp": {"width": 16},
    "fpdit": {"hidden_size": 16, "num_heads": 2, "patch_size": 2},
    "dit": {"hidden_size": 16, "num_heads": 2, "patch_size": 2, "depth": 2},
    "fpunet": {"width": 8},
}
SIZES = {"vector": (5,), "tokens": (3, 5)}


def draws(network, shape) -> bool:
    if network == "fpunet":
        return len(shape) > 1
    return network == "mlp" or len(shape) == 3


def options(network, shape):
    odd = network == "fpunet" and any(extent % 2 for extent in shape[1:])
    return {"network": network, **NETWORKS[network], **({"halvings": 0} if odd else {})}


CASES = [(n, s, t) for n in NETWORKS for s in SHAPES for t in TOLD if draws(n, s)]


def data(shape, told, count=24) -> Tensors:
    rng = torch.Generator().manual_seed(0)
    said = {
        "nothing": {},
        "classes": {"labels": torch.arange(count) % 3},
    }.get(told) or {}
    if told in SIZES:
        said = {"condition": torch.randn(count, *SIZES[told], generator=rng)}
    return Tensors(torch.rand(count, *shape, generator=rng) * 2 - 1, **said)


def trained(network, shape, told, **changes):
    config = TrainConfig(steps=2, batch_size=8, model=options(network, shape), **changes)
    training = Training(config, data=data(shape, told))
    list(training)
    return quiet(training.pipeline())


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def wanted(told, count):
    rng = torch.Generator().manual_seed(1)
    if told == "classes":
        return {"class_labels": [index % 3 for index in range(count)]}
    if told in SIZES:
        return {"condition": torch.randn(count, *SIZES[told], generator=rng)}
    return {"num_images": count}


def generators(count):
    return [torch.Generator().manual_seed(index) for index in range(count)]


def one(asked):
    return {name: value if name == "num_images" else value[:1] for name, value in asked.items()} | (
        {"num_images": 1} if "num_images" in asked else {}
    )


@pytest.mark.parametrize(("network", "shape", "told"), CASES, ids=str)
def test_every_shape_is_trained_saved_loaded_and_drawn(network, shape, told, tmp_path):
    pipe = trained(network, shape, told)
    pipe.save_pretrained(tmp_path)
    loaded = quiet(fpdm.FPDMPipeline.from_pretrained(tmp_path))
    passes = []
    model = pipe.model
    if hasattr(model, "layer"):
        bind = model.layer.block.bind

        def counting(features, cond):
            f = bind(features, cond)
            return lambda z: passes.append(len(z)) or f(z)

        model.layer.block.bind = counting
    asked, guided = wanted(told, 2), {} if told == "nothing" else {"guidance_scale": 1.5}
    settings = {"num_inference_steps": 4, "output_type": "latent", **guided}
    explicit = 4 * (model.pre_passes + model.post_passes)
    settings["budget"] = explicit + (7 if hasattr(model, "layer") else 0)
    made = pipe(**asked, **settings, generator=generators(2))
    assert made.images.shape == (2, *shape)
    assert made.images.isfinite().all()
    assert sum(step.passes for step in made.steps) == settings["budget"]
    assert len(passes) == settings["budget"] - explicit
    again = loaded(**asked, **settings, generator=generators(2)).images
    assert torch.equal(made.images, again)
    alone = loaded(**one(asked), **settings, generator=generators(1)).images
    torch.testing.assert_close(alone[0], made.images[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("network", NETWORKS)
def test_what_it_is_told_matters_and_none_of_it_may_be_asked_for(network, told):
    pipe = trained(network, (1, 4, 4), told)
    for parameter in pipe.model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    settings = {"num_inference_steps": 4, "output_type": "pt"}
    none = pipe(num_images=2, **settings, generator=generators(2)).images
    other = pipe(**wanted(told, 2), **settings, generator=generators(2)).images
    assert torch.equal(none, other) == (told == "nothing")
    alone = pipe(**settings, generator=generators(1)).images
    torch.testing.assert_close(alone, none[:1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("network", ["mlp", "fpunet", "fpdit"])
def test_they_train_in_half_precision_and_are_drawn_in_it(network, told):
    pipe = trained(network, (1, 4, 4), told, engine={"precision": "bf16"})
    pipe.to(torch.bfloat16)
    settings = {"num_inference_steps": 4, "output_type": "latent"}
    made = pipe(**wanted(told, 2), **settings, generator=generators(2)).images
    assert made.dtype == torch.bfloat16
    assert made.isfinite().all()


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("network", ["mlp", "fpunet", "fpdit"])
def test_a_compiled_pipeline_draws_the_same(network, told):
    pipe = trained(network, (1, 4, 4), told)
    guided = {} if told == "nothing" else {"guidance_scale": 1.5}
    settings = {"num_inference_steps": 3, "budget": 15, "output_type": "latent", **guided}
    plain = pipe(**wanted(told, 2), **settings, generator=generators(2)).images
    pipe.compile(backend="eager")
    made = pipe(**wanted(told, 2), **settings, generator=generators(2)).images
    torch.testing.assert_close(made, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("told", ["classes", "vector", "tokens"])
def test_guidance_by_one_is_no_guidance_and_by_zero_draws_none(told):
    pipe = trained("mlp", (3,), told)
    for parameter in pipe.model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))

    def drawn(scale, **asked):
        settings = {"budget": 16, "num_inference_steps": 4, "solver": "naive"}
        return pipe(**asked, **settings, guidance_scale=scale, generator=generators(2)).images

    torch.testing.assert_close(drawn(0.0, **wanted(told, 2)), drawn(1.0, num_images=2))


def test_what_a_training_drops_is_what_stands_for_none():
    training = Training(
        TrainConfig(steps=1, batch_size=16, class_dropout=0.5, model={"network": "mlp"}),
        data=data((3,), "vector"),
    )
    from fpdm.training.batches import Shares

    share = Shares(training.config, training.data)[0]
    dropped = share.condition.isnan().all(dim=1)
    assert 0 < dropped.sum() < 16
    assert share.condition[~dropped].isfinite().all()
    assert share.labels is None


@given(
    value=st.one_of(
        st.integers(-2, 9), st.lists(st.integers(-1, 9), max_size=4), st.sampled_from(["8", 8.0])
    )
)
@settings(max_examples=60)
def test_extents_are_whole_numbers_or_refused(value):
    parts = [value] * 2 if isinstance(value, int) else value
    if isinstance(parts, list) and all(part >= 1 for part in parts):
        assert check_extents("size", value) == tuple(parts)
    else:
        with pytest.raises(InvalidValueError, match="size"):
            check_extents("size", value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"class_labels": [0]}, r"class_labels: the network has no classes; give a condition"),
        ({"condition": torch.zeros(2, 4)}, r"condition has shape \(2, 4\): must be \(batch, 5\)"),
        ({"condition": torch.zeros(5)}, r"condition has shape \(5,\): must be \(batch, 5\)"),
        ({"condition": torch.zeros(2, 5).long()}, "must be a tensor of real numbers"),
        ({"condition": torch.full((2, 5), torch.nan)}, "condition holds NaN or inf"),
        ({"condition": torch.zeros(2, 5), "num_images": 2}, "give one of them"),
        ({"num_images": 0}, "num_images=0"),
        ({"output_type": "pil"}, "which are no pictures; ask for 'np' or 'pt'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(asked, message):
    pipe = trained("mlp", (3,), "vector")
    with pytest.raises(InvalidValueError, match=message) as raised:
        pipe(**asked)
    assert "\n" not in str(raised.value)


def test_a_missing_condition_is_one_sentence():
    model = fpdm.models.MLP(condition_size=5, has_null_class=False, width=8).eval()
    with pytest.raises(InvalidValueError, match="takes a condition of shape"):
        quiet(fpdm.FPDMPipeline(model, fpdm.EvenDDIMScheduler()))()
    with pytest.raises(InvalidValueError, match="condition is NoneType"):
        model(torch.zeros(1, 2), timestep=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": torch.zeros(4)}, "must be"),
        ({"samples": torch.zeros(0, 2)}, "must be"),
        ({"samples": torch.zeros(4, 2, dtype=torch.uint8)}, "must be of real numbers"),
        ({"samples": torch.full((4, 2), torch.inf)}, "samples hold NaN or inf"),
        ({"samples": torch.zeros(4, 2), "labels": [0, 1]}, "labels: 2 for 4 samples"),
        ({"samples": torch.zeros(4, 2), "labels": [0, 1, 2, -1]}, "from 0 to 2"),
        ({"samples": torch.zeros(4, 2), "condition": torch.zeros(4)}, "must be"),
    ],
)
def test_tensors_that_are_no_data_are_refused(options, message):
    with pytest.raises(InvalidValueError, match=message):
        Tensors(**options)
