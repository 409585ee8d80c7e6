"""Encoding that ended early goes on to the same bytes, or is refused."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from fpdm.data import Latents, encode
from fpdm.data.shards import write_shard
from fpdm.diffusion.autoencoder import load_vae
from fpdm.runtime.storage import LOCK
from tests.data.pictures import encoded, refused, save, tiny_vae
from tests.data.reading import contents
from tests.places import ROOT


@pytest.mark.parametrize("done", range(4))
def test_an_interrupted_run_goes_on_to_the_same_bytes(done, images, whole, tmp_path):
    options = {"vae": tiny_vae(), "image_size": 8, "batch_size": 2, "shard_size": 5}
    run = encode(images, tmp_path / "out", **options)
    first = [next(run) for _ in range(done)]
    run.close()
    if first:
        (tmp_path / "out" / ".writing-shard-00001.safetensors-x").write_bytes(b"half")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/shard-*")}
    rest = list(encode(images, tmp_path / "out", **options))
    assert [shard.kept for shard in rest] == [True] * done + [False] * (3 - done)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert contents(tmp_path / "out") == contents(whole)


def test_a_run_that_fails_while_it_writes_leaves_whole_shards(images, whole, tmp_path, monkeypatch):
    written = []

    def failing(path, *args):
        if len(written) == 1:
            raise OSError(28, "No space left on device")
        written.append(path)
        write_shard(path, *args)

    monkeypatch.setattr("fpdm.data.encoding.write_shard", failing)
    with pytest.raises(OSError, match="No space left"):
        encoded(images, tmp_path / "out")
    monkeypatch.undo()
    encoded(images, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(whole)


KILLED = """
import os, signal, sys
from pathlib import Path
import fpdm.runtime.storage
from tests.data.pictures import encoded

flush, calls = fpdm.runtime.storage.flush, []

def flush_or_die(path):
    calls.append(path)
    if len(calls) == 5:  # the second shard is written, and has its temporary name
        os.kill(os.getpid(), signal.SIGKILL)
    flush(path)

fpdm.runtime.storage.flush = flush_or_die
encoded(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_run_goes_on_to_the_same_bytes(images, whole, tmp_path):
    command = [sys.executable, "-c", KILLED, str(images), str(tmp_path / "out")]
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = sorted(contents(tmp_path / "out").keys() - {LOCK})
    assert left[0].startswith(".writing-shard-00001.safetensors")
    assert left[1:] == ["plan.json", "shard-00000.safetensors"]
    assert "is incomplete" in refused(lambda: Latents(tmp_path / "out"))
    encoded(images, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(whole)


def test_a_complete_run_does_nothing_and_a_lost_shard_is_made_again(images, whole, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    options = {"vae": tiny_vae(), "image_size": 8, "batch_size": 2, "shard_size": 5}
    assert list(encode(images, folder, **options)) == []
    (folder / "shard-00001.safetensors").unlink()
    assert [shard.kept for shard in encode(images, folder, **options)] == [True, False, True]
    assert contents(folder) == contents(whole)


def test_restoring_one_shard_vouches_for_no_other(images, whole, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    content = bytearray((folder / "shard-00002.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "shard-00002.safetensors").write_bytes(content)
    (folder / "shard-00001.safetensors").unlink()
    encoded(images, folder)
    assert "shard-00002.safetensors is missing or damaged" in refused(lambda: Latents(folder))


def test_a_damaged_shard_of_an_earlier_run_is_named(images, whole, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    (folder / "index.json").unlink()
    (folder / "shard-00001.safetensors").write_bytes(b"damaged")
    said = refused(lambda: encoded(images, folder))
    assert "shard-00001.safetensors is missing or damaged: delete it" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": 16}, "image_size=8:"),
        ({"store": "sample"}, "store=moments:"),
        ({"flip": False}, "flip=True:"),
        ({"dtype": "float32"}, "dtype=float16:"),
        ({"batch_size": 3}, "batch_size=2:"),
        ({"shard_size": 6, "seed": 7}, "shard_size=5, seed=0:"),
    ],
)
def test_other_arguments_are_refused(options, said, images, whole, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    assert f"was begun with {said}" in refused(lambda: encoded(images, folder, **options))
    assert contents(folder) == contents(whole)


def test_another_vae_is_refused(images, whole, vae_folder):
    other = refused(lambda: encoded(images, whole, vae=tiny_vae(seed=1)))
    assert "was begun with other weights of the VAE" in other
    other = refused(lambda: encoded(images, whole, vae=tiny_vae(scaling_factor=0.7)))
    assert "was begun with other weights of the VAE" in other
    named = refused(lambda: encoded(images, whole, vae=load_vae(str(vae_folder))))
    assert "was begun with vae=None:" in named


def test_other_images_are_refused(images, whole, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(images, changed)
    encoded(changed, whole)  # they are the same wherever they are
    path = save(changed / "cat" / "0.png", 50)
    assert "other images (12, now 12)" in refused(lambda: encoded(changed, whole))
    path.unlink()
    assert "other images (12, now 11)" in refused(lambda: encoded(changed, whole))


def test_a_target_that_holds_something_else_is_refused(images, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("keep")
    assert "already holds something" in refused(lambda: encoded(images, tmp_path / "out"))
    assert contents(tmp_path / "out") == {"precious.txt": b"keep"}
    (tmp_path / "file").write_text("keep")
    assert "is a file" in refused(lambda: encoded(images, tmp_path / "file"))
    (tmp_path / "out" / "plan.json").write_text("{}")
    assert "plan.json: must be a record" in refused(lambda: encoded(images, tmp_path / "out"))
    assert sorted(contents(tmp_path / "out")) == ["plan.json", "precious.txt"]


def test_what_a_killed_run_left_half_written_counts_for_nothing(images, whole, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".writing-plan.json-abc").write_text("{")
    assert contents(encoded(images, tmp_path / "out")) == contents(whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": 9}, "image_size=9: the VAE takes images whose size is a multiple of 2"),
        ({"image_size": 0}, "image_size=0: must be a whole number ≥ 1"),
        ({"store": "mean"}, "store='mean': must be one of moments, sample"),
        ({"flip": "no"}, "flip='no': must be true or false"),
        ({"dtype": "float8"}, "dtype='float8': must be one of float16, bfloat16, float32"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"shard_size": 1.5}, "shard_size=1.5"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**31}, "seed=2147483648"),
        ({"strict": 1}, "strict=1: must be true or false"),
        ({"workers": -1}, "workers=-1"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_at_once(options, said, images, tmp_path):
    chosen = {"vae": tiny_vae(), "image_size": 8, **options}
    assert said in refused(lambda: encode(images, tmp_path / "out", **chosen))
    assert not (tmp_path / "out").exists()


def test_a_vae_of_other_channels_is_refused(images, tmp_path):
    vae = tiny_vae(in_channels=4)
    assert "images of 4 channels" in refused(
        lambda: encode(images, tmp_path / "out", vae=vae, image_size=8)
    )
