"""What a run shows of itself: a log, pictures, and what trackers are given."""

import pytest

from fpdm.errors import MissingDependencyError
from fpdm.training import Run, Training
from fpdm.training.config import TrackingConfig
from fpdm.training.tracking import LOG, read_log
from tests.training.runs import config, finish


def test_pictures_of_samples_and_a_log_are_there_to_look_at(tmp_path):
    from PIL import Image

    finish(tmp_path, config(tracking=TrackingConfig(every=2, samples_every=3, samples_budget=6)))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "0000003.png",
        "0000006.png",
    ]
    with Image.open(tmp_path / "samples" / "0000003.png") as picture:
        assert picture.width > 200
    line = read_log(tmp_path / LOG)[-1]
    assert {"loss", "residual_before", "residual", "no_grad_evals", "grad_evals"} <= line.keys()
    assert {"gradient_norm", "images_per_second", "memory_bytes"} <= line.keys()
    assert 0 <= line["no_grad_evals"] <= 10
    assert 1 <= line["grad_evals"] <= 12


def test_a_tracker_is_given_what_the_log_is(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracking = TrackingConfig(
        every=1, trackers=["tensorboard"], samples_every=6, samples_budget=6, samples=4
    )
    finish(tmp_path, config(tracking=tracking))
    events = EventAccumulator(str(tmp_path / "fpdm"))
    events.Reload()
    log = read_log(tmp_path / LOG)
    seen = [event.value for event in events.Scalars("loss")]
    assert seen == pytest.approx([line["loss"] for line in log])
    assert {"residual", "residual_before", "grad_evals"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["samples"]


def test_a_tracker_that_is_not_installed_is_named(tmp_path):
    wanted = config(tracking=TrackingConfig(trackers=["clearml"]))
    with pytest.raises(MissingDependencyError, match="clearml is not installed: pip install"):
        Run(Training(wanted), tmp_path)
