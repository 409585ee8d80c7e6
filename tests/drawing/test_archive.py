"""The archive of a folder: the first images, in order, and nothing of the day."""

import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from fpdm.drawing import archive
from fpdm.drawing.numbered import numbered, write_images
from fpdm.errors import InvalidValueError
from tests.drawing.folders import drawn, names
from tests.sampling.pipelines import pipeline
from tests.toys import tiny


@pytest.mark.parametrize("channels", [1, 3])
def test_the_archive_holds_the_first_images_in_order(tmp_path, channels):
    out = tmp_path / "run.v2"
    drawn(pipeline(tiny(in_channels=channels)), out, 11)
    path = archive(out, 9)
    assert path == tmp_path / "run.v2.npz"
    with np.load(path, allow_pickle=False) as loaded:
        assert loaded.files == ["arr_0"]
        images = loaded["arr_0"]
    assert images.shape == (9, 4, 4, 3)
    assert images.dtype == np.uint8
    for image, name in zip(images, names(9), strict=True):
        assert np.array_equal(image, np.asarray(Image.open(out / name).convert("RGB")))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["run.v2.npz"]


def test_the_archive_does_not_say_when_it_was_made(tmp_path):
    drawn(pipeline(), tmp_path / "out", 3)
    first = archive(tmp_path / "out", 3).read_bytes()
    assert archive(tmp_path / "out", 3).read_bytes() == first
    with zipfile.ZipFile(tmp_path / "out.npz") as file:
        assert [held.date_time for held in file.infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_the_archive_never_holds_all_images_in_memory(tmp_path):
    (tmp_path / "out").mkdir()
    paths = [numbered(tmp_path / "out", number) for number in range(300)]
    write_images([Image.new("RGB", (64, 64))] * 300, paths)
    tracemalloc.start()
    path = archive(tmp_path / "out", 300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 300 * 64 * 64 * 3
    assert peak < 40 * 64 * 64 * 3


@pytest.mark.parametrize("damage", ["missing", "torn", "another size"])
def test_an_archive_of_images_that_are_not_all_there_is_refused(tmp_path, damage):
    out = tmp_path / "out"
    drawn(pipeline(), out, 3)
    path = out / "000001.png"
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:50])
    else:
        write_images([Image.new("L", (5, 5))], [path])
    with pytest.raises(InvalidValueError, match=r"000001.png") as refused:
        archive(out, 3)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
