"""The trained model in the package draws digits that can be read."""

import json

import pytest
import torch

import fpdm
from fpdm.checkpoints import DIGITS
from fpdm.data import digits
from fpdm.evaluation import DigitClassifier, frechet_distance
from fpdm.training import load_config
from fpdm.training.reading import structure_config


@pytest.fixture(scope="module")
def pipe():
    pipe = fpdm.FPDMPipeline.digits()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_it_is_small_and_safe_to_load():
    files = [path for path in DIGITS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3_000_000
    assert {path.suffix for path in files} == {".json", ".md", ".safetensors"}


def test_it_was_made_by_the_configuration_of_the_package():
    said = json.loads((DIGITS / "training.json").read_text())
    assert structure_config(said) == load_config("digits")


def test_at_60_block_passes_its_digits_are_close_to_real_ones_and_read_as_asked(pipe):
    labels, generator = torch.arange(2000) % 10, torch.Generator().manual_seed(0)
    results = [
        pipe(
            some,
            budget=60,
            num_inference_steps=15,
            init="reuse",
            generator=generator,
            output_type="pt",
        )
        for some in labels.split(500)  # the same digits as in one batch, sooner
    ]
    images = torch.cat([result.images for result in results]) * 2 - 1
    assert all(sum(step.passes for step in result.steps) == 60 for result in results)
    assert frechet_distance(images.flatten(1), digits().images.flatten(1)) <= 0.6
    assert DigitClassifier().accuracy(images, labels) >= 0.97


def test_smoothing_beats_its_absence_at_an_equal_budget(pipe):
    real = digits().images.flatten(1)

    def distance(steps: int) -> float:
        result = pipe(
            torch.arange(300) % 10,
            budget=24,
            num_inference_steps=steps,
            init="features",
            generator=torch.Generator().manual_seed(0),
            output_type="pt",
        )
        return frechet_distance(result.images.flatten(1) * 2 - 1, real)

    assert distance(6) < 0.5 * distance(2)
