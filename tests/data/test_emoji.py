"""The emoji of the package: to the last bit those that were packed."""

import hashlib
import io
import pickle

import numpy as np
import pytest
import torch

import fpdm
from fpdm.data import Emoji, emoji
from fpdm.data.packed_images import unpack
from fpdm.data.pictograms import CLASSES, FILE, SIZE, STYLES
from fpdm.testing import check_dataset
from tests.data.packing import pack
from tests.data.pictures import refused
from tests.data.reading import arrange

SHA256 = {
    "levels": "1b4298db484fba0637cf1964801496c935ac01e38824881a6009b374eb066b8a",
    "labels": "29e2559a576cd6110c86b467aee91a17c9be6b8f2e4df4f379c2a8e7018bcb06",
    "styles": "0587cec1f078223aadfb2c52fdf3ee0a91ed393e8ae3e72c859d24e9f5d583d3",
}
"""Of what was packed, as bytes: (N, H, W, 3), (N,) and (N,)."""

LARGEST = 5 * 2**20
"""Bytes that they may take in the package."""


@pytest.fixture(scope="module")
def data() -> Emoji:
    return Emoji()


def checksum(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.byte().contiguous().numpy().tobytes()).hexdigest()


def test_they_are_to_the_last_bit_what_was_packed():
    read = unpack(FILE, size=SIZE)
    assert checksum(read.levels.permute(0, 2, 3, 1)) == SHA256["levels"]
    assert checksum(read.labels) == SHA256["labels"]
    assert checksum(read.styles) == SHA256["styles"]
    assert FILE.stat().st_size <= LARGEST


def test_unpacking_undoes_packing(tmp_path):
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)
    labels, styles = drawn.integers(0, 5, (2, 300), dtype=np.uint8)
    (tmp_path / "packed.xz").write_bytes(pack(images, labels, styles))
    read = unpack(tmp_path / "packed.xz", size=4)
    assert np.array_equal(read.levels.permute(0, 2, 3, 1).numpy(), images)
    assert (read.labels.tolist(), read.styles.tolist()) == (labels.tolist(), styles.tolist())


def test_a_damaged_file_is_one_sentence(tmp_path):
    whole = FILE.read_bytes()
    for content in (b"", whole[:1000], b"\0" * 1000):
        (tmp_path / "packed.xz").write_bytes(content)
        assert "is damaged" in refused(lambda: unpack(tmp_path / "packed.xz", size=SIZE))
    assert "is damaged" in refused(lambda: unpack(tmp_path / "nothing.xz", size=SIZE))
    images = np.zeros((1, 3, 3, 3), dtype=np.uint8)
    (tmp_path / "packed.xz").write_bytes(pack(images, *np.zeros((2, 1), dtype=np.uint8)))
    assert "pictures of 4 × 4" in refused(lambda: unpack(tmp_path / "packed.xz", size=4))


def test_they_are_a_data_set_with_named_classes(data):
    check_dataset(data)
    assert (len(data), data.shape.sample, data.shape.num_classes) == (9762, (3, 32, 32), 8)
    assert data.shape.class_names == dict(enumerate(CLASSES))
    assert set(data.styles.tolist()) == set(range(len(STYLES)))
    assert type(fpdm.dataset("emoji")) is Emoji


def test_the_function_and_the_class_have_the_same_pictures(data):
    images = emoji()
    asked = arrange(0, 5000, 9761), arrange(1, 2, 3)
    assert torch.equal(images.batch(*asked).images, data.batch(*asked).images)
    assert torch.equal(images.labels, data.labels)
    assert images.shape == data.shape


def test_they_are_mirrored_only_if_asked_for(data):
    indices, seeds = torch.full((64,), 7), torch.arange(64)
    plain = data.batch(indices, seeds).images
    assert (plain == plain[0]).all()
    mirrored = Emoji(flip=True).batch(indices, seeds).images
    same = (mirrored == plain).flatten(1).all(1)
    assert 16 < int(same.sum()) < 48
    assert torch.equal(mirrored[~same], plain[~same].flip(-1))
    assert "must be true or false" in refused(lambda: Emoji(flip="no"))


def test_a_copy_in_another_process_holds_no_pictures():
    content = io.BytesIO()
    pickle.dump(Emoji(flip=True), content)
    assert len(content.getvalue()) < 500
    content.seek(0)
    asked = arrange(3, 4), arrange(5, 6)
    again = pickle.load(content)
    assert torch.equal(again.batch(*asked).images, Emoji(flip=True).batch(*asked).images)
