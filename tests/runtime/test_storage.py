"""What is written is there whole or not at all, and what cannot be written is named."""

import os
import stat

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from fpdm.errors import FPDMError, StorageError
from fpdm.runtime.storage import written_file, written_folder, written_parts
from tests.runtime.full import full_after, full_beyond, tree


def refused(action) -> str:
    with pytest.raises(StorageError) as caught:
        action()
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert isinstance(caught.value, (FPDMError, OSError))
    return said


@given(limit=st.integers(0, 5_000), size=st.integers(0, 10_000))
def test_a_file_is_the_old_one_or_the_new_one(limit, size, tmp_path_factory):
    target = tmp_path_factory.mktemp("full") / "file"
    target.write_bytes(b"old")

    def write():
        with full_beyond(limit), written_file(target) as beside:
            beside.write_bytes(bytes(size))

    if size > limit:
        assert refused(write).startswith(f"{target} cannot be written: File too large")
    else:
        write()
    assert tree(target.parent) == {"file": b"old" if size > limit else bytes(size)}


@pytest.mark.parametrize("allowed", range(4))
def test_whatever_step_of_writing_fails_the_old_file_is_there(allowed, tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def write():
        with full_after(allowed, "open", "fsync", "replace"), written_file(target) as beside:
            beside.write_bytes(b"new")

    said = refused(write)
    assert said.startswith(f"{target} cannot be written: No space left on device; make room")
    assert tree(tmp_path) in ({"file": b"old"}, {"file": b"new"})


def test_what_libraries_write_is_named_too(tmp_path):
    """Of safetensors an error of its own comes, which is no `OSError`."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_bytes(b"old")

    def write():
        with full_beyond(500), written_folder(tmp_path / "folder") as beside:
            save_file({"a": torch.zeros(1_000)}, beside / "a.safetensors")

    assert refused(write).startswith(f"{tmp_path / 'folder'} cannot be written: File too large")
    assert tree(tmp_path) == {"folder/old": b"old"}


def test_an_error_about_another_file_stays_what_it_is(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="missing"),
        written_file(tmp_path / "file") as beside,
    ):
        beside.write_bytes((tmp_path / "missing").read_bytes())
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", ["x" * 250 + ".png", "é" * 120, "a b\tc", "-", "'"])
def test_every_name_that_a_file_can_have_can_be_written(name, tmp_path):
    with written_file(tmp_path / name) as beside:
        beside.write_bytes(b"new")
    assert tree(tmp_path) == {name: b"new"}


def test_a_link_and_the_mode_of_a_file_stay(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to("real")
    with written_file(tmp_path / "link") as beside:
        beside.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_is_named(tmp_path):
    def write():
        with written_file(tmp_path / "none" / "file"):
            pass

    assert f"{tmp_path / 'none' / 'file'} cannot be written: No such file" in refused(write)


def test_parts_take_their_places_and_all_else_stays(tmp_path):
    for name in ("model/weights-00001-of-00002.safetensors", "model/weights.index.json", "mine"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "model" / "notes.txt").write_bytes(b"mine")
    with written_parts(tmp_path, last="index") as beside:
        (beside / "model").mkdir()
        (beside / "model" / "weights.safetensors").write_bytes(b"new")
        (beside / "index").write_bytes(b"new")
    assert tree(tmp_path) == {
        "mine": b"old",
        "model/notes.txt": b"mine",
        "model/weights.safetensors": b"new",
        "index": b"new",
    }


@pytest.mark.parametrize("limit", [0, 5])
def test_parts_that_cannot_be_written_leave_the_old_ones(limit, tmp_path):
    (tmp_path / "index").write_bytes(b"old")

    def write():
        with full_beyond(limit), written_parts(tmp_path, last="index") as beside:
            (beside / "index").write_bytes(bytes(10))

    assert refused(write).startswith(f"{tmp_path} cannot be written")
    assert tree(tmp_path) == {"index": b"old"}
    assert os.listdir(tmp_path) == ["index"]
