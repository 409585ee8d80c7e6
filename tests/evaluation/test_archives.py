"""Samples and references on the disk: folders, archives, statistics."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from fpdm.data import Tensors, digits
from fpdm.errors import InvalidValueError
from fpdm.evaluation import Gaussian, ImageArray, ImageFiles, read_archive, write_archive


def everything(data):
    indices = torch.arange(len(data))
    return data.batch(indices, seeds=indices)


def levels(count: int, height: int, width: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(count, height, width, channels), dtype=np.uint8)


def folder(path, arrays, names="{:06d}.png"):
    for index, array in enumerate(arrays):
        file = path / names.format(index)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array.squeeze()).save(file)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_and_an_archive_of_the_same_images_are_the_same(channels, tmp_path):
    arrays = levels(12, 5, 7, channels)
    files = ImageFiles(folder(tmp_path / "files", arrays))
    np.savez(tmp_path / "a.npz", arr_0=arrays)
    packed = read_archive(tmp_path / "a.npz")
    assert files.shape == packed.shape
    assert files.shape.sample == (channels, 5, 7)
    assert (everything(files).images == everything(packed).images).all()
    expected = torch.from_numpy(arrays).permute(0, 3, 1, 2) / 127.5 - 1
    assert everything(files).images == pytest.approx(expected, abs=1e-6)


def test_three_equal_channels_are_grey():
    arrays = np.repeat(levels(4, 5, 5, 1), 3, axis=3)
    assert ImageArray(arrays).shape.channels == 1
    arrays[3, 4, 4, 2] ^= 1
    assert ImageArray(arrays).shape.channels == 3


def test_one_file_in_colours_is_enough(tmp_path):
    files = [*levels(3, 5, 5, 1), *levels(1, 5, 5, 3)]
    assert ImageFiles(folder(tmp_path / "mixed", files)).shape.channels == 3


def test_what_is_written_is_what_the_programs_read_and_comes_back(tmp_path):
    data = digits()
    path = write_archive(data, tmp_path / "real.npz")
    with np.load(path) as file:
        assert list(file) == ["arr_0"]
        assert (file["arr_0"].shape, file["arr_0"].dtype) == ((1797, 8, 8, 3), np.uint8)
    again = read_archive(path)
    assert again.shape.sample == (1, 8, 8)
    assert (everything(again).images - data.images).abs().max() < 1.001 / 255
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert hashlib.sha256(write_archive(again, path).read_bytes()).hexdigest() == before


def test_images_are_brought_to_a_size(tmp_path):
    arrays = levels(4, 12, 16, 3)
    files = ImageFiles(folder(tmp_path / "files", arrays), 6)
    packed = ImageArray(arrays, size=6)
    assert files.shape.sample == packed.shape.sample == (3, 6, 6)
    assert (everything(files).images == everything(packed).images).all()
    grey = ImageArray(arrays[..., :1], size=6)
    assert everything(grey).images.shape == (4, 1, 6, 6)


def test_samples_of_any_shape_and_their_classes(tmp_path):
    points = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", samples=points, class_labels=np.arange(9) % 3)
    found = everything(read_archive(tmp_path / "a.npz"))
    assert (found.images.numpy() == points).all()
    assert found.labels.tolist() == [0, 1, 2] * 3


def test_classes_of_an_archive_and_of_folders(tmp_path):
    arrays = levels(6, 4, 4, 3)
    np.savez(tmp_path / "a.npz", arr_0=arrays, arr_1=np.array([3, 0, 1, 2, 1, 0]))
    found = read_archive(tmp_path / "a.npz")
    assert everything(found).labels.tolist() == [3, 0, 1, 2, 1, 0]
    assert found.shape.num_classes == 4
    folder(tmp_path / "f", arrays[:2], "10/{}.png")
    folder(tmp_path / "f", arrays[2:4], "9/{}.png")
    files = ImageFiles(tmp_path / "f")
    assert everything(files).labels.tolist() == [0, 0, 1, 1]
    assert files.shape.class_names == {0: "9", 1: "10"}


def test_statistics_are_a_gaussian(tmp_path):
    arrays = {"mu": np.arange(3.0), "sigma": np.eye(3)}
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "both.npz", arr_0=levels(4, 4, 4, 3), mu_s=np.zeros(2), **arrays)
    assert isinstance(read_archive(tmp_path / "a.npz"), Gaussian)
    assert isinstance(read_archive(tmp_path / "both.npz"), ImageArray)
    found = read_archive(tmp_path / "both.npz", statistics=True)
    assert found.mean.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, "holds x: must hold arr_0 (images), samples, or mu and sigma"),
        ({}, "holds nothing: must hold"),
        ({"arr_0": np.zeros((4, 4, 4, 3))}, "float64 of (4, 4, 4, 3); must be uint8"),
        ({"arr_0": np.zeros((0, 4, 4, 3), np.uint8)}, "(0, 4, 4, 3); must be uint8"),
        ({"arr_0": levels(4, 4, 4, 3), "arr_1": np.zeros(3, int)}, "labels of (3,) for 4 images"),
        ({"arr_0": levels(4, 4, 4, 3), "arr_1": np.zeros(4)}, "classes of float64"),
        ({"samples": np.array([[1.0], [np.nan]])}, "not finite, in samples 1 of 2"),
        ({"samples": np.zeros(4)}, "must be (N, C, …)"),
        ({"mu": np.zeros(3), "sigma": np.zeros((2, 2))}, "must be (d,) and (d, d)"),
        ({"arr_0": np.array([{}], dtype=object)}, "cannot be read as an .npz"),
    ],
)
def test_an_archive_of_something_else_is_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InvalidValueError) as refused:
        read_archive(tmp_path / "a.npz")
    assert message in str(refused.value)
    assert "a.npz" in str(refused.value)


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "images.npz", arr_0=levels(4, 4, 4, 3))
    for call, message in (
        (lambda: read_archive(tmp_path / "text.npz"), "cannot be read as an .npz"),
        (lambda: read_archive(tmp_path / "none.npz"), "there is no such file"),
        (lambda: read_archive(tmp_path / "images.npz", statistics=True), "holds no statistics"),
        (lambda: write_archive(Tensors(torch.zeros(4, 2)), tmp_path / "a.npz"), "are no images"),
    ):
        with pytest.raises(InvalidValueError, match=message):
            call()
    assert not (tmp_path / "a.npz").exists()


def test_a_folder_of_other_things_is_refused(tmp_path):
    folder(tmp_path / "sizes", [*levels(2, 4, 4, 3), *levels(1, 4, 6, 3)])
    files = ImageFiles(tmp_path / "sizes")
    with pytest.raises(InvalidValueError, match=r"000002\.png has 6 × 4 pixels, but the first"):
        everything(files)
    assert everything(ImageFiles(tmp_path / "sizes", 4)).images.shape == (3, 3, 4, 4)
    (tmp_path / "sizes" / "000001.png").write_text("no image")
    with pytest.raises(InvalidValueError, match=r"000001\.png cannot be read as an image"):
        everything(ImageFiles(tmp_path / "sizes", 4))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidValueError, match="holds no image"):
        ImageFiles(tmp_path / "empty")
