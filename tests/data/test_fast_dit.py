"""Features as fast-DiT writes them: what is read, and what is refused."""

import os
import pickle
import random
import re
import shutil

import numpy as np
import pytest
import torch

from fpdm.data import FastDiT, LatentSpace
from tests.data.pictures import cut, features, refused
from tests.data.reading import in_order


def test_features_and_labels_are_paired_by_name_in_whatever_order_they_were_made(tmp_path):
    order = list(range(12))
    random.Random(0).shuffle(order)
    root = features(tmp_path / "a", order=order)
    for name in ("tiny_features", "tiny_labels"):
        (root / name / ".hidden.npy").write_text("")
        (root / name / "notes.txt").write_text("")
    batch = in_order(FastDiT(root))
    for i, name in enumerate(sorted(map(str, order))):
        latent = np.random.default_rng(int(name)).standard_normal((1, 4, 4, 4), dtype=np.float32)
        assert torch.equal(batch.images[i], torch.from_numpy(latent[0]))
        assert batch.labels[i] == int(name) % 3


def test_features_are_read_in_every_type_and_shape(tmp_path):
    root = features(tmp_path)
    latent = np.arange(64, dtype=np.float64).reshape(4, 4, 4)
    for i, dtype in enumerate(("<f2", "<f4", ">f4", "<f8", ">f8")):
        np.save(root / "tiny_features" / f"{i}.npy", np.asfortranarray(latent.astype(dtype)))
    for i, label in enumerate((np.array(2), np.array([2], dtype=np.uint8), np.int32(2))):
        np.save(root / "tiny_labels" / f"{i}.npy", label)
    batch = FastDiT(root).batch(torch.tensor([0, 1, 4, 5, 6]), torch.zeros(5, dtype=torch.int64))
    assert (batch.images == torch.from_numpy(latent).float()).all()
    assert batch.labels[:2].tolist() == [2, 2]


def test_features_know_their_latent_space_and_classes(tmp_path):
    root = features(tmp_path)
    assert FastDiT(root).shape.num_classes == 3
    shape = FastDiT(root, num_classes=1000).shape
    assert shape.num_classes == 1000
    assert shape.latent_space == LatentSpace(vae=None, scaling_factor=0.18215)
    assert "num_classes=0" in refused(lambda: FastDiT(root, num_classes=0))


class Malice:
    def __reduce__(self):
        return os.mkdir, ("harm-was-done",)


def malicious(path) -> None:
    path.write_bytes(pickle.dumps(Malice()))


def malicious_array(path) -> None:
    np.save(path, np.array([Malice()], dtype=object), allow_pickle=True)


def boundless(path) -> None:
    """A header that asks for more memory than there is."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1, 4, 2**28, 2**28)}
        np.lib.format.write_array_header_1_0(file, header)


FEATURE_DAMAGE = {
    "pickle": malicious,
    "pickle in an array": malicious_array,
    "boundless": boundless,
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("no array"),
    "zip": lambda p: (np.savez(p.with_suffix(".npz"), a=[3]), p.with_suffix(".npz").replace(p)),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
    **{
        f"cut at {share}": lambda p, share=share: cut(p, share)
        for share in (0.01, 0.1, 0.2, 0.4, 0.6, 0.8, 0.99)
    },
    "magic": lambda p: p.write_bytes(b"\0" + p.read_bytes()[1:]),
    "header": lambda p: p.write_bytes(p.read_bytes().replace(b"'descr'", b"'descs'")),
}
ONLY_FEATURES = {
    "whole numbers": lambda p: np.save(p, np.zeros((1, 4, 4, 4), dtype=np.int64)),
    "complex": lambda p: np.save(p, np.zeros((1, 4, 4, 4), dtype=np.complex64)),
    "text array": lambda p: np.save(p, np.array(["a"])),
    "three channels": lambda p: np.save(p, np.zeros((1, 3, 4, 4))),
    "two latents": lambda p: np.save(p, np.zeros((2, 4, 4, 4))),
    "flat": lambda p: np.save(p, np.zeros(64)),
    "oblong": lambda p: np.save(p, np.zeros((4, 4, 8))),
    "larger": lambda p: np.save(p, np.zeros((4, 8, 8))),
    "no pixels": lambda p: np.save(p, np.zeros((4, 0, 0))),
    "nan": lambda p: np.save(p, np.full((4, 4, 4), np.nan)),
    "inf": lambda p: np.save(p, np.full((4, 4, 4), -np.inf)),
    "beyond float32": lambda p: np.save(p, np.full((4, 4, 4), 1e300)),
    "swapped": lambda p: shutil.copy(p.parents[1] / "tiny_labels" / p.name, p),
}
ONLY_LABELS = {
    "fraction": lambda p: np.save(p, np.array([1.0])),
    "truth": lambda p: np.save(p, np.array([True])),
    "two": lambda p: np.save(p, np.array([1, 2])),
    "none": lambda p: np.save(p, np.zeros(0, dtype=np.int64)),
    "negative": lambda p: np.save(p, np.array([-1])),
    "too large": lambda p: np.save(p, np.array([2**40])),
    "far too large": lambda p: np.save(p, np.array([2**64 - 1], dtype=np.uint64)),
    "swapped": lambda p: shutil.copy(p.parents[1] / "tiny_features" / p.name, p),
}


@pytest.mark.parametrize("name", ["0", "7"])
@pytest.mark.parametrize("damage", FEATURE_DAMAGE | ONLY_FEATURES)
def test_a_damaged_feature_is_one_sentence(damage, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = features(tmp_path / "root")
    (FEATURE_DAMAGE | ONLY_FEATURES)[damage](root / "tiny_features" / f"{name}.npy")
    said = refused(lambda: in_order(FastDiT(root)))
    assert f"{name}.npy" in said or damage == "larger"
    assert not (tmp_path / "harm-was-done").exists()


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("damage", FEATURE_DAMAGE | ONLY_LABELS)
def test_a_damaged_label_is_one_sentence(damage, num_classes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = features(tmp_path / "root")
    (FEATURE_DAMAGE | ONLY_LABELS)[damage](root / "tiny_labels" / "7.npy")
    assert "7.npy" in refused(lambda: in_order(FastDiT(root, num_classes=num_classes)))
    assert not (tmp_path / "harm-was-done").exists()


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    data = FastDiT(features(tmp_path), num_classes=2)
    assert "holds the label 2: must be from 0 to 1" in refused(lambda: in_order(data))


def test_what_has_no_partner_is_named(tmp_path):
    root = features(tmp_path)
    (root / "tiny_labels" / "7.npy").unlink()
    (root / "tiny_labels" / "3.npy").unlink()
    assert re.search(r"2 of the files .* such as 3.npy, 7.npy", refused(lambda: FastDiT(root)))
    (root / "tiny_features" / "7.npy").unlink()
    (root / "tiny_features" / "3.npy").unlink()
    (root / "tiny_features" / "5.npy").unlink()
    assert re.search(r"1 of the files .* such as 5.npy", refused(lambda: FastDiT(root)))


def test_there_must_be_one_folder_of_features_and_one_of_labels(tmp_path):
    root = features(tmp_path / "root")
    (root / "more_labels").mkdir()
    assert "holds more_labels, tiny_labels that ends in _labels" in refused(lambda: FastDiT(root))
    shutil.rmtree(root / "more_labels")
    shutil.rmtree(root / "tiny_labels")
    assert "holds nothing that ends in _labels" in refused(lambda: FastDiT(root))
    for path in (root / "tiny_features").iterdir():
        path.unlink()
    (root / "tiny_labels").mkdir()
    assert "holds no .npy file" in refused(lambda: FastDiT(root))
