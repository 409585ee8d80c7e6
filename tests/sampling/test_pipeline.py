"""Every keyword of the pipeline, through the public pipeline."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import BudgetError, InvalidValueError, UnknownNameError
from tests.built_ins import built_ins
from tests.sampling.pipelines import NAMES, draw, images, parts, pipeline, seeded, tiny_vae
from tests.toys import BlockPasses, lively, tiny, tiny_dit


def test_a_vae_turns_latents_into_images_at_its_own_scale():
    model, vae = tiny(in_channels=4), tiny_vae(scaling_factor=0.5, shift_factor=0.25)
    pipe = pipeline(model, vae=vae)
    latents = images(pipe)
    with torch.no_grad():
        decoded = vae.decode(latents / 0.5 + 0.25).sample
    expected = (decoded / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(images(pipe, output_type="pt"), expected)
    array = images(pipe, output_type="np")
    assert array.shape == (3, 8, 8, 3)
    pictures = images(pipe, output_type="pil")
    assert [(picture.mode, picture.size) for picture in pictures] == [("RGB", (8, 8))] * 3
    assert np.array_equal(np.asarray(pictures[1]), (array[1] * 255).round().astype("uint8"))


def test_latents_without_a_vae_are_given_as_they_are_and_not_as_a_picture():
    pipe = pipeline(tiny(in_channels=4))
    assert images(pipe).shape == (3, 4, 4, 4)
    for kind in ("pil", "np", "pt"):
        with pytest.raises(InvalidValueError, match="has no vae to decode them; give it one"):
            images(pipe, output_type=kind)
    with pytest.raises(InvalidValueError, match="must be one of pil, np, pt, latent"):
        images(pipe, output_type="jpg")
    with pytest.raises(InvalidValueError, match="4 latent channels, but the network draws 1"):
        pipeline(vae=tiny_vae())


def test_latents_that_are_given_are_where_the_run_begins():
    pipe = pipeline()
    noise = torch.randn(3, 1, 4, 4, generator=seeded(5))
    kept = noise.clone()
    assert torch.equal(images(pipe, latents=noise), images(pipe, generator=seeded(5)))
    assert torch.equal(noise, kept)
    assert not torch.equal(images(pipe, latents=noise), images(pipe, latents=-noise))
    scaled = {"latents": noise, "scheduler": "euler"}  # which begins at a sigma of 157
    assert images(pipe, **scaled).abs().max() < 50
    assert torch.equal(images(pipe, **scaled), images(pipe, scheduler="euler", generator=seeded(5)))


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (
            torch.zeros(2, 1, 4, 4),
            r"are \(2, 1, 4, 4\): must be a tensor of \(3, 1, 4, 4\)",
        ),
        (torch.zeros(3, 1, 8, 8), "must be a tensor of"),
        (torch.zeros(3, 2, 4, 4), "must be a tensor of"),
        (torch.zeros(3, 1, 4, 4).fill_(torch.nan), "latents hold inf or NaN"),
        (torch.zeros(3, 1, 4, 4).fill_(torch.inf), "latents hold inf or NaN"),
        (np.zeros((3, 1, 4, 4)), "latents are ndarray"),
    ],
)
def test_latents_that_do_not_fit_are_refused(latents, message):
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), latents=latents)


@given(data=st.data(), count=st.integers(2, 6))
@settings(max_examples=8)
@pytest.mark.parametrize("name", [None, "ddpm", "euler-ancestral", "unipc", "heun"])
@pytest.mark.parametrize("init", built_ins()["init"])
def test_an_image_does_not_depend_on_the_batch_it_is_drawn_in(name, init, data, count):
    pipe = pipeline()
    labels = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    cut = data.draw(st.integers(1, count - 1))
    scale = data.draw(st.sampled_from([1.0, 3.0]))

    def drawn(chosen: range) -> torch.Tensor:
        return images(
            pipe,
            [labels[i] for i in chosen],
            generator=[seeded(i) for i in chosen],
            scheduler=name,
            init=init,
            budget=None,
            num_inference_steps=7 if name == "heun" else 4,  # of which it is sound
            guidance_scale=scale,
            guidance_interval=(0.2, 0.9),
        )

    whole = drawn(range(count))
    split = torch.cat([drawn(range(cut)), drawn(range(cut, count))])
    assert (whole - split).abs().max() <= 1e-5 * whole.abs().max()


def test_classes_are_called_by_number_or_by_name():
    pipe = pipeline(id2label=NAMES)
    assert pipe.labels == {"bird": 2, "cat": 0, "dog": 1, "kitten": 0}
    expected = images(pipe, [0, 1, 2])
    for labels in (["kitten", "dog", "bird"], [0, "dog", 2], np.array([0, 1, 2]), torch.arange(3)):
        assert torch.equal(images(pipe, labels), expected)
    ambiguous = pipeline(id2label={0: "crane", 1: "crane"})
    assert ambiguous.labels == {}
    with pytest.raises(InvalidValueError, match=r"'crane' is the name of \[0, 1\]; use a number"):
        draw(ambiguous, ["crane"])


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (["dgo"], UnknownNameError, "No class is named 'dgo'. Did you mean 'dog'"),
        (
            [4],
            InvalidValueError,
            r"\[4\] out of range; classes go from 0 to 2, and 3 stands",
        ),
        ([-1, 0], InvalidValueError, r"\[-1\] out of range"),
        ([True], InvalidValueError, "True must be a whole number or a name"),
        ([1.5], InvalidValueError, "1.5 must be a whole number or a name"),
        ("dog", InvalidValueError, "class_labels='dog': must be a list"),
        ([], InvalidValueError, "one for each image"),
        (3, InvalidValueError, "class_labels=3: must be a list"),
    ],
)
def test_labels_that_are_none_are_refused(labels, error, message):
    pipe = pipeline(id2label=NAMES)
    with pytest.raises(error, match=message):
        pipe(labels, budget=20)


def test_class_names_that_do_not_fit_are_refused():
    with pytest.raises(InvalidValueError, match=r"names \[3\]; the network has the classes 0 to 2"):
        pipeline(id2label={3: "cow"})
    with pytest.raises(InvalidValueError, match="must map the number of each class"):
        pipeline(id2label={"cat": 0})
    with pytest.raises(UnknownNameError, match="have no names; use their numbers"):
        draw(pipeline(), ["dog"])


def test_the_null_class_is_that_of_the_network():
    seen = []

    class Watched(type(tiny())):
        def forward(self, x, timestep, class_labels, **solving):
            seen.append(class_labels.tolist())
            return super().forward(x, timestep, class_labels, **solving)

    model = lively(Watched(sample_size=4, in_channels=1, hidden_size=8, num_heads=2, num_classes=5))
    draw(pipeline(model), [1, 4], guidance_scale=2.0)
    assert seen == [[1, 4, 5, 5]] * 4


def test_what_comes_back_is_named_or_a_tuple():
    pipe = pipeline()
    output = draw(pipe)
    assert torch.equal(output["images"], output[0])
    drawn, steps = draw(pipe, return_dict=False)
    assert torch.equal(drawn, output.images)
    assert [step.iterations for step in steps] == [step.iterations for step in output.steps]
    assert [step.passes for step in steps] == [5] * 4
    assert all(step.residual.shape == step.status.shape == (3,) for step in steps)
    explicit = draw(pipeline(tiny_dit(depth=5)))
    assert [step.residual for step in explicit.steps] == [None] * 4


def test_the_progress_bar_is_that_of_diffusers(capsys):
    pipe = pipeline()
    draw(pipe)
    assert capsys.readouterr().err == ""
    pipe.set_progress_bar_config(desc="drawing")
    draw(pipe)
    shown = capsys.readouterr().err
    assert "drawing" in shown
    assert "4/4" in shown


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ([seeded(), seeded()], "a list of 2 for 3 images; must have one for each"),
        (3, "must be a torch.Generator, or a list of them"),
        ([1, 2, 3], "must be a torch.Generator, or a list of them"),
    ],
)
def test_generators_that_do_not_fit_are_refused(generator, message):
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), generator=generator)


def test_components_may_be_named_described_or_given():
    pipe = pipeline()
    spelled = {
        "solver": ["broyden", {"name": "broyden"}, fpdm.solver("broyden")],
        "allocation": ["increasing", {"name": "increasing"}, fpdm.allocation("increasing")],
        "init": ["reuse", {"name": "reuse"}, fpdm.init("reuse")],
        "scheduler": ["unipc", "unipc", Diffusion().scheduler("unipc")],
    }
    for kind, ways in spelled.items():
        first, *others = (images(pipe, budget=24, **{kind: way}) for way in ways)
        assert all(torch.equal(first, other) for other in others), kind
        assert not torch.equal(first, images(pipe, budget=24)), kind


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"solver": "andersen"}, UnknownNameError, "Did you mean 'anderson'"),
        ({"allocation": "rising"}, UnknownNameError, "Available: adaptive, constant"),
        ({"init": "reused"}, UnknownNameError, "Did you mean 'reuse'"),
        ({"scheduler": "ddmp"}, UnknownNameError, "is named 'ddmp'. Did you mean 'ddpm'"),
        ({"scheduler": 3}, InvalidValueError, "scheduler=3: must be a scheduler of diffusers"),
        ({"scheduler": Diffusion("epsilon").scheduler()}, InvalidValueError, "predicts 'v_predic"),
        ({"scheduler": Diffusion("flow").scheduler()}, InvalidValueError, "expects 'flow'"),
        ({"budget": 11}, BudgetError, "= 12 block passes. Use num_inference_steps ≤ 3"),
        ({"budget": "60"}, InvalidValueError, "budget='60': must be a whole number"),
        ({"num_inference_steps": 2.5}, InvalidValueError, "num_inference_steps=2.5"),
        ({"num_inference_steps": 1001}, InvalidValueError, "≤ 1000"),
    ],
)
def test_what_does_not_exist_is_one_sentence_and_writes_nothing(
    options, error, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        draw(pipeline(), **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["heun", "ddim"])
def test_a_scheduler_of_second_order_pays_for_all_its_calls(name):
    pipe = pipeline(tiny(evals=3))
    with BlockPasses(pipe.model) as passes:
        result = draw(pipe, scheduler=name, num_inference_steps=8, budget=None)
    calls = 15 if name == "heun" else 8
    assert len(result.steps) == calls
    assert passes.count == sum(step.passes for step in result.steps) == calls * (1 + 3 + 1)
    with BlockPasses(pipe.model) as passes:
        result = draw(pipe, scheduler=name, num_inference_steps=None, budget=60)
    assert len(result.steps) == 15
    assert passes.count == 60
    assert len(draw(pipe, scheduler="heun", num_inference_steps=None, budget=56).steps) == 13
    with pytest.raises(BudgetError, match=r"9 steps: .* Use num_inference_steps ≤ 4"):
        draw(pipe, scheduler="heun", num_inference_steps=5, budget=26)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"model": "x"}, "model: a str is given: must be a model of diffusers"),
        ({"scheduler": "ddim"}, "scheduler='ddim': must be a scheduler of diffusers"),
        ({"scheduler": DDIMScheduler}, "must be a scheduler of diffusers"),
        ({"vae": torch.nn.Linear(1, 1)}, "vae: a Linear is given: must be a model of diffusers"),
        ({"id2label": {0: None}}, "must map the number of each class to its name"),
        ({"id2label": {0.5: "cat"}}, "must map the number of each class to its name"),
    ],
)
def test_a_part_that_is_none_is_refused(parts, message):
    with pytest.raises(InvalidValueError, match=message):
        fpdm.FPDMPipeline(**{"model": tiny(), "scheduler": Diffusion().scheduler()} | parts)


def test_a_pipeline_can_be_made_from_a_pipeline():
    pipe = parts()
    other = fpdm.FPDMPipeline.from_pipe(pipe)
    assert other.components == pipe.components
    assert other.labels == pipe.labels
