"""Images that are not finite, in folders, in pictures, in archives, in the demo and in previews."""

import numpy as np
import pytest
import torch
from PIL import Image

import fpdm
import fpdm.cli.demo
import fpdm.cli.sample
from fpdm.data import digits
from fpdm.drawing import archive
from fpdm.errors import InvalidValueError
from fpdm.training.config import TrackingConfig, TrainConfig
from fpdm.training.samples import draw_samples
from tests.commands import run
from tests.drawing.folders import ALIKE, drawn, names, pngs
from tests.sampling.test_broken import spoil, warned

pytestmark = pytest.mark.filterwarnings("always::fpdm.errors.SamplingWarning")
CLASSES = ["--classes", "3", "1"]


@pytest.fixture
def spoilt() -> fpdm.FPDMPipeline:
    """The digits, but that a one is not finite."""
    pipe = fpdm.FPDMPipeline.digits()
    pipe.set_progress_bar_config(disable=True)
    spoil(pipe.model, 1)
    return pipe


@pytest.fixture
def installed(spoilt, monkeypatch) -> fpdm.FPDMPipeline:
    """What the commands draw with."""
    for command in (fpdm.cli.sample, fpdm.cli.demo):
        monkeypatch.setattr(command, "load_pipeline", lambda _: spoilt)
    return spoilt


def test_a_folder_holds_the_others_and_a_later_call_draws_what_is_missing(spoilt, tmp_path):
    whole = fpdm.FPDMPipeline.digits()
    whole.set_progress_bar_config(disable=True)
    drawn(whole, tmp_path / "whole", 10, classes=[3, 1])
    with warned() as told:
        chunks = drawn(spoilt, tmp_path / "out", 10, classes=[3, 1])
    assert [chunk.broken for chunk in chunks] == [(1, 3), (5, 7), (9,)]
    assert [chunk.drawn for chunk in chunks] == [2, 2, 1]
    numbers = [str(each.message).partition(" (seed")[0] for each in told]
    assert numbers == ["Images 1, 3", "Images 5, 7", "Image 9"]
    there = pngs(tmp_path / "out")
    assert list(there) == names(10)[::2]
    assert there == {k: v for k, v in pngs(tmp_path / "whole").items() if k in there}
    with pytest.raises(InvalidValueError, match=r"000001.png is missing"):
        archive(tmp_path / "out", 10)
    with warned():
        again = drawn(spoilt, tmp_path / "out", 10, classes=[3, 1])
    assert sum(chunk.drawn for chunk in again) == 0
    assert pngs(tmp_path / "out") == there


def test_a_resumed_run_keeps_no_bad_one(spoilt, tmp_path):
    with warned():
        drawn(spoilt, tmp_path, 4, classes=[3, 1])
    (tmp_path / "000001.png").write_bytes(b"half an image")
    with warned(r"Images 1, 3 \(seeds \d+, \d+\)"):
        drawn(spoilt, tmp_path, 4, classes=[3, 1])
    assert list(pngs(tmp_path)) == ["000000.png", "000002.png"]


def test_a_whole_folder_is_drawn_without_a_word_where_only_unwanted_images_are_broken(
    spoilt, tmp_path
):
    drawn(spoilt, tmp_path, 5, classes=[3, 4, 5, 6, 7, 1], batch_size=6)
    assert list(pngs(tmp_path)) == names(5)


def test_the_command_fills_a_folder_names_what_is_missing_and_exits_1(installed, tmp_path, capsys):
    out = tmp_path / "out"
    command = ("sample", *ALIKE, *CLASSES, "--num", 6, "--out", out, "--npz")
    code, printed, error = run(capsys, *command)
    assert code == 1
    assert "holds 3 of 6 images: the others are not finite" in printed
    assert "Images 1, 3, 5 (seeds" in error
    assert "Traceback" not in error
    assert list(pngs(out)) == names(6)[::2]
    assert not (tmp_path / "out.npz").exists()
    spoil(installed.model, 1, 0.0)  # another model is refused: it says so, and loses nothing
    code, _, error = run(capsys, *command)
    assert (code, "model_sha256" in error) == (2, True)
    assert list(pngs(out)) == names(6)[::2]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_picture_has_crosses_in_their_places_and_the_exit_code_is_1(quiet, tmp_path, capsys):
    out = tmp_path / "out.png"
    command = ("sample", "--budget", 12, *CLASSES, "--num", 4, "--out", out, *quiet)
    code, printed, error = run(capsys, *command)
    assert code == 1
    assert "Images 1, 3 are not finite" in error
    assert f"Wrote 2 of 4 images to {out}" in printed
    assert np.asarray(Image.open(out)).std() > 0


@pytest.mark.usefixtures("installed")
def test_a_picture_of_which_nothing_is_whole_is_not_written(tmp_path, capsys):
    out = tmp_path / "out.png"
    out.write_bytes(b"an older one")
    code, printed, error = run(capsys, "sample", "--budget", 12, "--classes", 1, "--out", out)
    assert code == 1
    assert "Image 0 is not finite" in error
    assert f"Wrote nothing to {out}" in printed
    assert out.read_bytes() == b"an older one"


@pytest.mark.usefixtures("installed")
def test_the_demo_judges_the_others_and_exits_1(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fpdm.cli.demo, "BUDGETS", (24,))
    code, printed, error = run(capsys, "demo", "--num", 100, "--out", tmp_path / "demo.png")
    assert code == 1
    assert "Images 1, 11, 21" in error
    assert printed.count("%") == 4
    assert "nan" not in printed
    assert (tmp_path / "demo.png").exists()


def test_the_demo_of_nothing_whole_has_no_figures(installed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fpdm.cli.demo, "BUDGETS", (24,))
    for label in range(10):
        spoil(installed.model, label)
    code, printed, _ = run(capsys, "demo", "--num", 100, "--out", tmp_path / "demo.png")
    assert (code, "%" in printed) == (1, False)


def test_a_preview_of_a_training_has_crosses(spoilt):
    config = TrainConfig(tracking=TrackingConfig(samples=20))
    with warned("Images 1, 11 are"):
        broken = draw_samples(spoilt, config, digits(), title="step 1")
    for label in range(10):
        spoil(spoilt.model, label)
    with warned():
        nothing = draw_samples(spoilt, config, digits(), title="step 1")
    assert nothing.size == broken.size


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_judges_refuses_what_is_not_finite_and_says_where(value):
    from fpdm.evaluation import DigitClassifier, frechet_distance

    images = torch.rand(50, 1, 8, 8)
    images[[7, 30], 0, 2, 2] = value
    with pytest.raises(InvalidValueError, match=r"a holds values .* in samples 7, 30 of 50"):
        frechet_distance(images, images[:7])
    classifier = DigitClassifier()
    for judge in (
        lambda: classifier.read(images),
        lambda: classifier.features(images),
        lambda: classifier.accuracy(images, torch.zeros(50)),
    ):
        with pytest.raises(InvalidValueError, match=r"images holds .* in samples 7, 30 of 50"):
            judge()
