"""Folders that the tests of several files read."""

import shutil

import pytest

from fpdm.data.listing import list_images
from tests.data.pictures import encoded, features, image_folder, tiny_vae


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    images = image_folder(root / "images")
    encoded(images, root / "moments")
    encoded(images, root / "sample", store="sample", dtype="float32")
    encoded(images, root / "unflipped", flip=False, dtype="bfloat16")
    features(root / "fast-dit")
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("encode") / "images")


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """A run that was never interrupted."""
    return encoded(images, tmp_path_factory.mktemp("encode") / "whole")


@pytest.fixture(scope="module")
def vae_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encode") / "vae"
    tiny_vae().save_pretrained(folder)
    return folder


@pytest.fixture
def holed(images, tmp_path):
    """Images of which the whole second shard and one of the third cannot be read."""
    root = tmp_path / "holed"
    shutil.copytree(images, root)
    for name in list_images(root).files[5:11]:
        (root / name).write_bytes(b"no image")
    return root
