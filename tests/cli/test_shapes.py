"""`fpdm sample` of models that draw no pictures, or are told no class."""

import numpy as np
import pytest
import torch
from PIL import Image

from fpdm.cli import main
from fpdm.training import TrainConfig, Training
from tests.models.test_shapes import NETWORKS, data

SMALL = ["--budget", "12", "--steps", "3"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    def model(network, shape, told):
        folder = tmp_path_factory.mktemp("model")
        config = TrainConfig(steps=1, batch_size=8, model={"network": network, **NETWORKS[network]})
        training = Training(config, data=data(shape, told))
        list(training)
        training.pipeline().save_pretrained(folder)
        return str(folder)

    return model


def sample(*arguments):
    main(["sample", *arguments, *SMALL])


@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 2, 3, 4)])
def test_samples_that_are_no_pictures_go_into_a_file_of_numbers(
    shape, models, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = models("mlp", shape, "classes")
    sample("--model", folder, "-n", "7", "--batch-size", "3")
    found = np.load("samples.npz")
    assert found["samples"].shape == (7, *shape)
    assert found["samples"].dtype == np.float32
    assert found["class_labels"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    sample("--model", folder, "-n", "7", "--batch-size", "3", "--out", "again.npz")
    assert np.array_equal(np.load("again.npz")["samples"], found["samples"])


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (2, 2, 3, 4)])
def test_they_are_plotted_into_a_picture(shape, models, tmp_path):
    sample("--model", models("mlp", shape, "nothing"), "-n", "9", "--out", str(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as picture:
        assert len(picture.convert("L").getcolors()) > 2


def test_a_model_that_is_told_nothing_draws_as_many_as_are_asked_for(models, tmp_path):
    folder = models("fpdit", (1, 4, 4), "nothing")
    sample("--model", folder, "-n", "5", "--out", str(tmp_path / "many"))
    assert len(list((tmp_path / "many").glob("*.png"))) == 5
    sample("--model", folder, "--out", str(tmp_path / "one.png"))
    assert (tmp_path / "one.png").exists()


def test_conditions_are_read_from_a_file(models, tmp_path):
    folder = models("fpdit", (1, 4, 4), "vector")
    rows = torch.randn(3, 5).numpy()
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", condition=rows, other=rows)
    made = []
    for kind in ("npy", "npz"):
        file = str(tmp_path / f"rows.{kind}")
        out = str(tmp_path / f"from-{kind}.npz")
        sample("--model", folder, "--conditions", file, "--out", out)
        made.append(np.load(out))
    assert np.array_equal(made[0]["samples"], made[1]["samples"])
    assert np.allclose(made[0]["condition"], rows)
    sample(
        *("--model", folder, "--conditions", str(tmp_path / "rows.npy")),
        *("--num-images-per-class", "2", "--out", str(tmp_path / "many")),
    )
    assert len(list((tmp_path / "many").glob("*.png"))) == 6


@pytest.mark.parametrize(
    ("told", "arguments", "message"),
    [
        ("vector", ["--classes", "1"], "the model has none"),
        ("nothing", ["--conditions", "rows.npy"], "the model takes none"),
        ("vector", ["--conditions", "missing.npy"], "must be a .npy or .npz file"),
        ("vector", ["--conditions", "flat.npy"], "must be (batch, 5)"),
        ("vector", ["--conditions", "rows.npy", "--classes", "1"], "give one of them"),
        ("vector", ["--out", "x.npy"], "must end in .png or .npz"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    told, arguments, message, models, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.zeros((3, 5), dtype=np.float32))
    np.save("flat.npy", np.zeros(5, dtype=np.float32))
    with pytest.raises(SystemExit) as left:
        sample("--model", models("fpdit", (1, 4, 4), told), *arguments)
    assert left.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_points_go_into_no_folder(models, tmp_path, capsys):
    with pytest.raises(SystemExit):
        sample("--model", models("mlp", (3,), "nothing"), "--out", str(tmp_path / "many"))
    assert "which are no pictures" in " ".join(capsys.readouterr().err.split())
