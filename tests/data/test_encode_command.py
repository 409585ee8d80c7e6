"""`fpdm encode`, in one process and in several."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from fpdm.data import Latents, encode
from fpdm.diffusion.autoencoder import load_vae
from tests.commands import run
from tests.data.pictures import encoded, refused, tiny_vae
from tests.data.reading import contents

SIZES = ("--image-size", 8, "--batch-size", 2, "--shard-size", 5, "--workers", 0)


def test_the_command_writes_a_folder_of_latents(holed, vae_folder, tmp_path, capsys):
    command = ("encode", holed, tmp_path / "out", "--vae", vae_folder, *SIZES)
    code, printed, notes = run(capsys, *command)
    assert code == 0
    for row in (r"images 6", "unreadable 6", "classes 3", "stored moments, and those of mirrored"):
        assert row in " ".join(printed.split())
    assert f"Saved to {tmp_path / 'out'}" in printed
    assert "6 of the images could not be read, and are left out: " in notes
    assert "and 1 more." in notes
    assert Latents(tmp_path / "out").shape.latent_space.vae == str(vae_folder)
    code, printed, _ = run(capsys, *command)
    assert code == 0
    assert "Nothing was left to do in" in printed
    code, _, error = run(capsys, *command, "--no-flip")
    assert code == 2
    assert "was begun with flip=True" in error
    assert len(error.strip().splitlines()) == 1


def test_the_command_has_help_with_examples(capsys):
    code, printed, _ = run(capsys, "encode", "--help")
    assert code == 0
    assert "fpdm encode" in printed.partition("Examples")[2]


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("images", ("--vae", "no-such-vae"), "The VAE no-such-vae cannot be loaded"),
        ("images", (), "--vae"),
        ("images", ("--vae", "vae", "--store", "all"), "store='all': must be one of"),
        ("images", ("--vae", "vae", "--image-size", "big"), "big"),
        ("nothing", ("--vae", "vae"), "there is no such folder"),
    ],
)
def test_a_mistake_is_one_sentence(
    source, options, said, images, vae_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(images.parent)
    options = [vae_folder if option == "vae" else option for option in options]
    code, _, error = run(capsys, "encode", source, tmp_path / "out", *options)
    assert code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_processes_share_the_shards(images, whole, tmp_path, monkeypatch):
    runs = []
    for index in range(2):
        here = SimpleNamespace(
            process_index=index,
            num_processes=2,
            is_main_process=index == 0,
            device=torch.device("cpu"),
            wait_for_everyone=lambda: None,
        )
        monkeypatch.setattr("fpdm.data.encoding.processes", lambda here=here: here)
        options = {"vae": tiny_vae(), "image_size": 8, "batch_size": 2, "shard_size": 5}
        runs.append(encode(images, tmp_path / "out", **options))
        first = next(runs[-1])
        assert first.number == index
    assert list(runs[1]) == []
    assert [shard.number for shard in runs[0]] == [2]
    assert contents(tmp_path / "out") == contents(whole)


def test_a_process_that_is_left_alone_says_so(images, tmp_path, monkeypatch):
    def lost():
        raise RuntimeError("Connection closed by peer")

    here = SimpleNamespace(wait_for_everyone=lost)
    monkeypatch.setattr("fpdm.data.encoding.processes", lambda: here)
    assert "Another process has ended early" in refused(lambda: encoded(images, tmp_path / "out"))


def test_two_processes_write_the_same_bytes_as_one(images, vae_folder, tmp_path):
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    command = ("-m", "fpdm", "encode", images, tmp_path / "two", "--vae", vae_folder, *SIZES)
    done = subprocess.run(
        [*launch, "--nproc-per-node", "2", *map(str, command)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Saved to") == 1
    encoded(images, tmp_path / "one", vae=load_vae(str(vae_folder)))
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
