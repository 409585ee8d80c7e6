"""Every keyword of the pipeline, through the public pipeline."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMParallelScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DiTPipeline,
)
from diffusers.callbacks import PipelineCallback
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.guidance import Guidance
from fpdm.errors import BudgetError, InvalidValueError, UnknownNameError
from tests.built_ins import built_ins
from tests.sampling.pipelines import NAMES, draw, images, pipeline, seeded, tiny_vae
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
            budget=40,
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


def test_guidance_of_some_channels_leaves_the_others_conditional():
    pipe = pipeline(tiny(in_channels=4))
    free, full = images(pipe, guidance_scale=1.0), images(pipe, guidance_scale=4.0)
    one_step = {"num_inference_steps": 1, "budget": 3}
    free, full = (images(pipe, guidance_scale=scale, **one_step) for scale in (1.0, 4.0))
    some = images(pipe, guidance_scale=4.0, guidance_channels=3, **one_step)
    torch.testing.assert_close(some[:, :3], full[:, :3])
    torch.testing.assert_close(some[:, 3:], free[:, 3:])
    assert not torch.allclose(some[:, 3:], full[:, 3:])
    torch.testing.assert_close(
        images(pipe, guidance_scale=4.0, guidance_channels=4), images(pipe, guidance_scale=4.0)
    )


@pytest.mark.parametrize("init", built_ins()["init"])
@pytest.mark.parametrize("solver", [None, "naive"])
def test_outside_its_interval_guidance_costs_nothing(init, solver):
    sizes = []

    def watch(_, args):
        sizes.append(len(args[0]))

    pipe = pipeline()
    handle = pipe.model.register_forward_pre_hook(watch)
    call = {"num_inference_steps": 10, "budget": 50, "init": init, "solver": solver}
    inside = images(pipe, guidance_scale=3.0, guidance_interval=(0.2, 0.6), **call)
    handle.remove()
    assert sizes == [3] * 2 + [6] * 4 + [3] * 4
    assert inside.isfinite().all()
    never = images(pipe, guidance_scale=3.0, guidance_interval=(0.4, 0.4), **call)
    assert torch.equal(never, images(pipe, **call))
    always = images(pipe, guidance_scale=3.0, guidance_interval=(0, 1), **call)
    assert torch.equal(always, images(pipe, guidance_scale=3.0, **call))
    assert not torch.allclose(inside, always)


def test_where_guidance_ends_the_conditional_half_goes_on():
    starts = []

    class Watched(type(fpdm.init("reuse"))):
        def initial(self, features, history, moment):
            starts.append([visited.solution.value for visited in history])
            return super().initial(features, history, moment)

    model, scheduler = tiny(), Diffusion().scheduler()
    scheduler.set_timesteps(3)
    with torch.no_grad():
        steps = list(
            fpdm.sample(
                model,
                scheduler,
                torch.randn(2, 1, 4, 4),
                torch.tensor([0, 1]),
                budget=12,
                init=Watched(),
                guidance_scale=2.0,
                guidance_interval=(0.3, 0.6),
            )
        )
    first, second = (step.solution.value for step in steps[:2])
    assert (len(first), len(second)) == (2, 4)
    assert starts[0] == []
    assert torch.equal(starts[1][0], torch.cat([first, first]))
    assert torch.equal(starts[2][0], second[:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance_scale": -1}, "guidance_scale=-1"),
        ({"guidance_scale": "4"}, "guidance_scale='4'"),
        ({"guidance_channels": 0}, "guidance_channels=0: must be a whole number ≥ 1"),
        ({"guidance_channels": 2}, "guidance_channels=2: the network predicts 1 channels"),
        ({"guidance_interval": (0.6, 0.2)}, "must be \\(start, end\\) with 0 ≤ start ≤ end ≤ 1"),
        ({"guidance_interval": (0, 2)}, "guidance_interval=2: must be a number ≥ 0 and ≤ 1|start"),
        ({"guidance_interval": 0.5}, "guidance_interval=0.5: must be \\(start, end\\)"),
    ],
)
def test_guidance_that_cannot_be_is_refused(options, message):
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), **options)


def test_a_callback_sees_each_step_and_may_change_the_latents():
    seen = []

    def watch(pipe, index, timestep, tensors):
        seen.append((index, int(timestep), sorted(tensors), tensors["residual"].shape))
        assert isinstance(pipe, fpdm.FPDMPipeline)

    pipe = pipeline()
    plain = images(pipe)
    inputs = ["latents", "residual"]
    watched = images(pipe, callback_on_step_end=watch, callback_on_step_end_tensor_inputs=inputs)
    assert torch.equal(watched, plain)
    assert seen == [(i, t, inputs, (3,)) for i, t in enumerate([999, 666, 333, 0])]

    def freeze(_, index, __, tensors):
        return {"latents": torch.ones_like(tensors["latents"])} if index == 3 else tensors

    assert torch.equal(images(pipe, callback_on_step_end=freeze), torch.ones(3, 1, 4, 4))

    def zero(_, index, __, tensors):
        return {"latents": 0 * tensors["latents"]} if index == 1 else {}

    assert not torch.equal(images(pipe, callback_on_step_end=zero), plain)


def test_a_callback_may_end_the_run():
    def stop(pipe, index, *_):
        pipe._interrupt = index == 1

    pipe = pipeline()
    assert len(draw(pipe, callback_on_step_end=stop).steps) == 2
    assert pipe.interrupt
    assert len(draw(pipe).steps) == 4


def test_callbacks_of_diffusers_say_themselves_what_they_want():
    class Doubled(PipelineCallback):
        tensor_inputs = ("latents",)

        def callback_fn(self, pipeline, step_index, timestep, callback_kwargs):
            del pipeline, step_index, timestep
            return {"latents": 2 * callback_kwargs["latents"]}

    pipe = pipeline()
    assert not torch.equal(images(pipe, callback_on_step_end=Doubled()), images(pipe))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"callback_on_step_end": 3}, "must be callable"),
        (
            {"callback_on_step_end": print, "callback_on_step_end_tensor_inputs": ["prompt"]},
            r"\['prompt'\] are not among \['latents', 'residual'\]",
        ),
        ({"callback_on_step_end": lambda *_: {"latents": torch.ones(2)}}, "no tensor of"),
    ],
)
def test_a_callback_that_cannot_be_is_refused(options, message):
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), **options)


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
        result = draw(pipe, scheduler=name, num_inference_steps=5, budget=None)
    calls = 9 if name == "heun" else 5
    assert len(result.steps) == calls
    assert passes.count == sum(step.passes for step in result.steps) == calls * (1 + 3 + 1)
    with BlockPasses(pipe.model) as passes:
        result = draw(pipe, scheduler=name, num_inference_steps=None, budget=60)
    assert len(result.steps) == 15
    assert passes.count == 60
    assert len(draw(pipe, scheduler="heun", num_inference_steps=None, budget=56).steps) == 13
    with pytest.raises(BudgetError, match=r"9 steps: .* Use num_inference_steps ≤ 4"):
        draw(pipe, scheduler="heun", num_inference_steps=5, budget=26)


def parts() -> fpdm.FPDMPipeline:
    model = tiny(in_channels=4, solver="broyden", init="reuse", learn_sigma=True)
    return pipeline(
        model,
        Diffusion("epsilon").scheduler("ddpm", learned_variance=True),
        vae=tiny_vae(),
        id2label=NAMES,
    )


@pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")  # but known
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_saved_pipeline_is_the_same_bit_for_bit(dtype, tmp_path):
    pipe = parts().to(dtype)
    pipe.save_pretrained(tmp_path)
    loaded = fpdm.FPDMPipeline.from_pretrained(tmp_path, torch_dtype=dtype)
    loaded.set_progress_bar_config(disable=True)
    for part in ("model", "vae"):
        ours, theirs = getattr(pipe, part).state_dict(), getattr(loaded, part).state_dict()
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert theirs[name].dtype == dtype
            assert torch.equal(theirs[name], value)
    assert loaded.labels == pipe.labels
    assert loaded.config["prediction_type"] == "epsilon"
    said, kept = (
        {name: value for name, value in part.model.config.items() if not name.startswith("_")}
        for part in (pipe, loaded)
    )
    assert said == kept
    assert torch.equal(images(loaded, ["dog"]), images(pipe, [1]))
    assert torch.equal(images(loaded, output_type="pt"), images(pipe, output_type="pt"))


def test_what_is_saved_is_plain_data(tmp_path):
    parts().save_pretrained(tmp_path)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".py"}
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["solver"]["name"] == "broyden"
    assert config["init"] == {"name": "reuse"}
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["id2label"] == {str(number): name for number, name in NAMES.items()}
    with pytest.raises(InvalidValueError, match="is a file"):
        parts().save_pretrained(tmp_path / "model_index.json")


@pytest.mark.parametrize("where", ["pipeline", "folder"])
def test_diffusers_loads_a_saved_folder_that_it_has_never_heard_of(where, tmp_path):
    parts().save_pretrained(tmp_path / "saved")
    custom = "pipeline" if where == "pipeline" else str(tmp_path / "saved")
    program = (
        "from diffusers import DiffusionPipeline\n"
        f"pipe = DiffusionPipeline.from_pretrained({str(tmp_path / 'saved')!r}, "
        f"custom_pipeline={custom!r}, trust_remote_code=True)\n"
        "print(type(pipe).__name__, type(pipe.model).__name__, type(pipe.vae).__name__)\n"
        "print(pipe(['dog'], num_inference_steps=2).images[0].size)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.splitlines() == ["FPDMPipeline FPDiT AutoencoderKL", "(8, 8)"], done.stderr


def test_from_config_makes_an_untrained_network_of_the_same_kind():
    model = tiny(solver={"name": "anderson", "memory": 3}, has_null_class=False)
    other = fpdm.FPDiT.from_config(model.config)
    assert other.layer.solver == fpdm.solver("anderson", memory=3)
    assert other.null_class is None
    assert {k: v.shape for k, v in other.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


def test_a_pipeline_moves_between_dtypes():
    pipe = parts().to(torch.bfloat16)
    assert (pipe.model.dtype, pipe.vae.dtype) == (torch.bfloat16,) * 2
    assert images(pipe).dtype == torch.bfloat16
    assert images(pipe, output_type="pt").isfinite().all()
    pipe.to("cpu", torch.float32)
    assert images(pipe).dtype == torch.float32


@pytest.mark.parametrize("network", [fpdm.DiT, fpdm.FPDiT])
@pytest.mark.parametrize("learn_sigma", [True, False])
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_the_stock_pipeline_of_dit_runs_our_networks(network, learn_sigma, guidance_scale):
    sizes = {"sample_size": 4, "hidden_size": 16, "num_heads": 2, "num_classes": 1000}
    model = lively(network(**sizes, learn_sigma=learn_sigma))
    scheduler = DDIMScheduler(prediction_type="epsilon", clip_sample=False)
    pipe = DiTPipeline(model, tiny_vae(), scheduler, id2label={0: "tench", 999: "toilet paper"})
    pipe.set_progress_bar_config(disable=True)
    call = {"num_inference_steps": 3, "guidance_scale": guidance_scale}
    labels = pipe.get_label_ids(["tench", "toilet paper"])
    pictures = pipe(labels, generator=seeded(), output_type="pt", **call).images
    assert pictures.shape == (2, 3, 8, 8)
    ours = fpdm.FPDMPipeline(model, scheduler, vae=pipe.vae)
    ours.set_progress_bar_config(disable=True)
    same = ours(labels, generator=seeded(), output_type="pt", solver=None, **call).images
    if network is fpdm.DiT:  # ours carries what a solver learns to the next timestep
        torch.testing.assert_close(same, pictures, rtol=1e-4, atol=1e-4)
    else:
        kwargs = {"solver": fpdm.solver("anderson"), **call}
        model.layer.solver = fpdm.solver("anderson")
        pictures = pipe(labels, generator=seeded(), output_type="pt", **call).images
        same = ours(labels, generator=seeded(), output_type="pt", **kwargs).images
        torch.testing.assert_close(same, pictures, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", [tiny(learn_sigma=True), tiny_dit(learn_sigma=True)])
def test_a_learned_variance_is_used_where_it_can_be_and_dropped_elsewhere(model):
    process = Diffusion("epsilon")
    pipe = pipeline(model, process.scheduler("ddpm", learned_variance=True))
    call = {"budget": None}
    used = images(pipe, **call)
    assert not torch.equal(used, images(pipe, scheduler=process.scheduler("ddpm"), **call))
    for name in ("ddim", "dpm++", "unipc", "euler", "euler-ancestral", "heun"):
        assert images(pipe, scheduler=name, **call).shape == (3, 1, 4, 4), name


@pytest.mark.parametrize("channels", [1, 4])
def test_a_variance_type_that_a_scheduler_inherits_is_harmless(channels):
    from diffusers import DPMSolverMultistepScheduler

    pipe = pipeline(
        tiny(learn_sigma=True, in_channels=channels),
        Diffusion("epsilon").scheduler("ddpm", learned_variance=True),
    )
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    assert pipe.scheduler.config.variance_type == "learned_range"
    plain = images(pipe, scheduler="dpm++")
    assert plain.shape == images(pipe).shape == (3, channels, 4, 4)
    assert pipe.scheduler.config.variance_type == "learned_range"


def test_a_variance_that_is_missing_is_named():
    learned = DDPMScheduler(variance_type="learned_range", prediction_type="v_prediction")
    with pytest.raises(InvalidValueError, match="network predicts no variance; use variance_type"):
        draw(pipeline(), scheduler=learned)


def test_the_ddim_of_diffusers_is_warned_of_where_it_is_wrong():
    wrong = DDIMScheduler(prediction_type="v_prediction", timestep_spacing="linspace")
    with pytest.warns(UserWarning, match="use fpdm.EvenDDIMScheduler, or scheduler='ddim'"):
        draw(pipeline(), scheduler=wrong)
    parallel = DDIMParallelScheduler(prediction_type="v_prediction", timestep_spacing="linspace")
    with pytest.warns(UserWarning, match="DDIMParallelScheduler.* does not step to the next"):
        draw(pipeline(), scheduler=parallel)
    draw(pipeline(), scheduler=DDIMScheduler(prediction_type="v_prediction"))


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


def test_tensors_of_a_callback_must_be_a_list():
    with pytest.raises(InvalidValueError, match="tensor_inputs=5: must be a list of names"):
        draw(
            pipeline(),
            callback_on_step_end=lambda *_: {},
            callback_on_step_end_tensor_inputs=5,
        )


@pytest.mark.parametrize(("end", "steps"), [(0.07, 100), (0.14, 50), (0.28, 25)])
def test_the_end_of_an_interval_is_exact(end, steps):
    guidance = Guidance(scale=2.0, interval=(0.0, end))
    assert sum(guidance.acts(index, steps=steps) for index in range(steps)) == 7
