"""A folder knows of what its images were made, and takes no others in."""

import json
import re

import pytest
import torch
from attrs import evolve

import fpdm
from fpdm.allocator import places
from fpdm.diffusion import Diffusion
from fpdm.drawing import draw
from fpdm.errors import InvalidValueError, UnknownNameError
from fpdm.planning.identity import configuration_of, sketch_of
from fpdm.testing.calibrations import calibration_for
from tests.drawing.folders import CHEAP, drawn, everything
from tests.sampling.pipelines import pipeline
from tests.toys import tiny

OTHER = {
    "seed": {"seed": 1},
    "classes": {"classes": [0, 1]},
    "batch_size": {"batch_size": 5},
    "budget": {"budget": 15},
    "num_inference_steps": {"num_inference_steps": 2},
    "solver": {"solver": {"name": "anderson", "memory": 2}},
    "allocation": {"allocation": "increasing"},
    "init": {"init": "reuse"},
    "scheduler": {"scheduler": "ddpm"},
    "guidance_scale": {"guidance_scale": 1.5},
    "guidance_channels": {"guidance_channels": 1},
    "guidance_interval": {"guidance_interval": (0.0, 0.5)},
    "timesteps": {"timesteps": [999, 500, 0]},
    "sigmas": {"sigmas": [9, 3, 0]},
    "spacing": {"spacing": "quadratic"},
    "tol": {"tol": 0.1},
    "eta": {"eta": 0.5},
}


@pytest.mark.parametrize("key", OTHER)
def test_another_setting_is_refused_by_name_and_nothing_changes(tmp_path, key):
    out, pipe = tmp_path / "out", pipeline()
    drawn(pipe, out, 3)
    (out / "000001.png").unlink()
    before = everything(out)
    with pytest.raises(InvalidValueError, match=f"other settings: {key}") as refused:
        drawn(pipe, out, 3, **OTHER[key])
    named = str(refused.value).partition("settings: ")[2].partition(";")[0]
    assert [other for other in OTHER if re.search(rf"\b{other}\b", named)] == [key]
    assert "choose another folder" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert everything(out) == before


def test_every_setting_that_differs_is_named(tmp_path):
    drawn(pipeline(), tmp_path, 3)
    with pytest.raises(InvalidValueError, match=r"seed \(0 there, 1 now\), budget \(12 there, 15"):
        drawn(pipeline(), tmp_path, 3, seed=1, budget=15)


def test_another_model_is_refused(tmp_path):
    drawn(pipeline(), tmp_path, 3)
    nudged = tiny()
    with torch.no_grad():
        next(nudged.parameters()).view(-1)[0] += 1e-6
    for other in (
        pipeline(nudged),
        pipeline(tiny().double()),
        pipeline(tiny(), Diffusion().scheduler("ddim")),
        pipeline(tiny(), fpdm.DPMScheduler(spacing="linear")),
        pipeline(tiny(pre_depth=2)),
    ):
        with pytest.raises(InvalidValueError, match=r"other settings: .*model"):
            drawn(other, tmp_path, 3)
    drawn(pipeline(), tmp_path, 4)


def test_the_same_model_elsewhere_is_the_same(tmp_path):
    pipe = pipeline()
    pipe.save_pretrained(tmp_path / "here")
    pipe.save_pretrained(tmp_path / "there")
    for model in ("here", "there"):
        loaded = fpdm.FPDMPipeline.from_pretrained(tmp_path / model)
        loaded.set_progress_bar_config(disable=True)
        drawn(loaded, tmp_path / "out", 3)
    drawn(pipe, tmp_path / "out", 4)
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["model"] == str(
        tmp_path / "here"
    )


def test_another_version_is_refused(tmp_path):
    drawn(pipeline(), tmp_path, 3)
    record = tmp_path / "samples.json"
    record.write_text(record.read_text().replace(f'"{torch.__version__}"', '"1.0"'))
    with pytest.raises(InvalidValueError, match=r"versions \(torch 1.0 there, 2"):
        drawn(pipeline(), tmp_path, 3)


def test_the_record_says_all_that_images_depend_on(tmp_path):
    drawn(pipeline(), tmp_path, 3, solver="anderson", seed=4)
    record = json.loads((tmp_path / "samples.json").read_text())
    assert set(OTHER) | {"model", "model_sha256", "versions"} == set(record)
    assert record["seed"] == 4
    assert record["classes"] == [0, 1, 2]
    assert record["solver"] == {**fpdm.plugins.describe(fpdm.solver("anderson"))}
    assert record["init"] is None
    assert record["versions"]["fpdm"] == fpdm.__version__


def test_images_that_a_calibration_spreads_iterations_of_go_on_by_the_same_one(tmp_path):
    pipe = pipeline(scheduler=Diffusion().scheduler("ddim"))
    first, second = (
        evolve(
            calibration_for(places(3), seed=seed),
            configuration=configuration_of(pipe),
            sketch=sketch_of(pipe),
        )
        for seed in (0, 1)
    )
    pipe.calibration = first
    drawn(pipe, tmp_path, 2, allocation="measured")
    record = json.loads((tmp_path / "samples.json").read_text())
    assert record["calibration_sha256"] == first.digest
    pipe.calibration = second
    with pytest.raises(InvalidValueError, match="other settings: calibration_sha256"):
        drawn(pipe, tmp_path, 3, allocation="measured")
    pipe.calibration = first
    drawn(pipe, tmp_path, 3, allocation="measured")


def test_a_setting_given_as_name_mapping_or_object_is_the_same(tmp_path):
    pipe = pipeline()
    for solver in ("anderson", {"name": "anderson"}, fpdm.solver("anderson")):
        drawn(pipe, tmp_path, 3, solver=solver, guidance_interval=[0, 1], guidance_scale=1)


@pytest.mark.parametrize("damage", ["", "[1, 2", "[1, 2]", "\0"])
def test_a_damaged_record_is_refused(tmp_path, damage):
    drawn(pipeline(), tmp_path, 3)
    (tmp_path / "samples.json").write_text(damage)
    before = everything(tmp_path)
    with pytest.raises(InvalidValueError, match=r"samples.json cannot be read"):
        drawn(pipeline(), tmp_path, 3)
    assert everything(tmp_path) == before


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "000000.png").write_bytes(b"precious")
    before = everything(tmp_path)
    with pytest.raises(InvalidValueError, match=r"holds 000000.png, and no samples.json"):
        drawn(pipeline(), tmp_path, 3)
    assert everything(tmp_path) == before
    with pytest.raises(InvalidValueError, match="is a file"):
        drawn(pipeline(), tmp_path / "000000.png", 3)


def test_other_things_beside_our_images_stay(tmp_path):
    (tmp_path / ".writing-samples.json-x").write_text("half")  # of a killed run
    drawn(pipeline(), tmp_path, 3)
    (tmp_path / "notes.txt").write_text("keep")
    drawn(pipeline(), tmp_path, 6)
    assert (tmp_path / "notes.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": 0}, "num=0: must be a whole number ≥ 1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"world": 0}, "world=0"),
        ({"world": 2, "rank": 2}, "rank=2: must be a whole number ≥ 0 and ≤ 1"),
        ({"classes": [7]}, "out of range"),
        ({"budget": 3}, "cannot pay"),
        ({"guidance_scale": 1.5, "guidance_channels": 9}, "guidance_channels=9"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(tmp_path, options, message):
    options = {"num": 3} | options
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), tmp_path / "out", **CHEAP | options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["latents", "generator", "output_type", "budgets"])
def test_an_unknown_setting_is_refused(tmp_path, name):
    with pytest.raises(UnknownNameError, match=f"{name!r}.*guidance_scale"):
        draw(pipeline(), tmp_path / "out", 3, **{name: None})
    assert list(tmp_path.iterdir()) == []


def test_latents_that_no_vae_decodes_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InvalidValueError, match="no vae to decode"):
        draw(pipeline(tiny(in_channels=4)), tmp_path / "out", 3, **CHEAP)
    assert list(tmp_path.iterdir()) == []
