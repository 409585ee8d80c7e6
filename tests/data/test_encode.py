"""Encoding: the bytes that are written, what an interrupted run leaves, and what is refused."""

import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from fpdm.data import ImageFolder, Latents, encode
from fpdm.data.encoder import Encoder
from fpdm.data.listing import list_images
from fpdm.data.moments import draw_latent
from fpdm.data.shards import Layout, write_shard
from fpdm.diffusion.autoencoder import load_vae
from tests.commands import run
from tests.data.pictures import encoded, image_folder, refused, save, tiny_vae
from tests.places import ROOT


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def together(folder, name: str = "latents") -> torch.Tensor:
    return torch.cat([load_file(path)[name] for path in sorted(folder.glob("shard-*"))])


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


# what is written


def test_shards_hold_what_the_vae_gives(images, tmp_path):
    folder = encoded(images, tmp_path / "out", dtype="float32")
    data, vae = ImageFolder(images, size=8, flip=False), tiny_vae()
    batch = data.batch(torch.arange(12), torch.arange(12))
    with torch.inference_mode():
        moments = vae.encode(batch.images).latent_dist.parameters
        mirrored = vae.encode(batch.images.flip(-1)).latent_dist.parameters
    assert torch.allclose(together(folder), moments, atol=1e-5)
    assert torch.allclose(together(folder, "flipped"), mirrored, atol=1e-5)
    assert torch.equal(together(folder, "labels"), batch.labels)
    assert not torch.allclose(moments, mirrored, atol=1e-2)


def test_a_drawn_latent_is_that_of_diffusers():
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    moments = 20 * torch.randn(3, 8, 4, 4)
    theirs = DiagonalGaussianDistribution(moments)
    noise = torch.randn(3, 4, 4, 4)
    assert torch.allclose(draw_latent(moments, noise), theirs.mean + theirs.std * noise)


def test_a_stored_sample_comes_from_the_seed_and_the_index_of_its_image(images, tmp_path):
    moments = together(encoded(images, tmp_path / "moments", dtype="float32"))
    options = {"dtype": "float32", "store": "sample", "flip": False}
    samples = [
        together(encoded(images, tmp_path / name, seed=seed, **options))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])
    mean, log_variance = moments.chunk(2, 1)
    noise = (samples[0] - mean) / (log_variance / 2).exp()
    assert abs(noise.mean()) < 5 / noise.numel() ** 0.5
    assert abs(noise.std() - 1) < 5 / (2 * noise.numel()) ** 0.5
    other = encoded(images, tmp_path / "d", seed=1, shard_size=7, batch_size=3, **options)
    assert torch.allclose(together(other), samples[0], atol=1e-5)


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=5, unique=True))
def test_the_noise_of_an_image_does_not_depend_on_its_batch(indices):
    layout = Layout(stored="sample", flipped=True, dtype="float32", channels=4, size=4)
    encoder = Encoder(tiny_vae(), layout, seed=3)
    images = torch.rand(len(indices), 3, 8, 8)
    batch = encoder(images, indices)
    for row, index in enumerate(indices):
        alone = encoder(images[row : row + 1], [index])
        assert all(torch.allclose(alone[name][0], batch[name][row], atol=1e-5) for name in batch)


def test_images_and_their_mirror_images_have_noise_of_their_own():
    layout = Layout(stored="sample", flipped=True, dtype="float32", channels=4, size=4)
    encoded = Encoder(tiny_vae(), layout, seed=3)(torch.zeros(2, 3, 8, 8), [0, 1])
    (first, second), (mirrored, _) = encoded["latents"], encoded["flipped"]
    assert not torch.isclose(first, second).any()
    assert not torch.isclose(first, mirrored).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_latents_have_the_type_asked_for(dtype, images, tmp_path):
    folder = encoded(images, tmp_path / "out", dtype=dtype)
    assert together(folder).dtype == getattr(torch, dtype)
    exact = encoded(images, tmp_path / "exact", dtype="float32")
    assert torch.equal(together(folder), together(exact).to(getattr(torch, dtype)))


def test_a_grey_vae_reads_grey_images(images, tmp_path):
    folder = encoded(images, tmp_path / "out", vae=tiny_vae(in_channels=1, out_channels=1))
    assert Latents(folder).shape.channels == 4


def test_images_without_classes_have_none_as_latents(tmp_path):
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png", i)
    data = Latents(encoded(tmp_path / "images", tmp_path / "out"))
    assert data.shape.num_classes == 0
    assert data.batch(torch.arange(3), torch.arange(3)).labels.tolist() == [0, 0, 0]


def test_the_number_of_threads_changes_no_bit(images, whole, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 2)
    try:
        folder = encoded(images, tmp_path / "out")
        assert torch.get_num_threads() == threads + 2
    finally:
        torch.set_num_threads(threads)
    assert contents(folder) == contents(whole)


def test_readers_change_no_bit_and_the_global_generator_is_left_alone(images, whole, tmp_path):
    before = torch.get_rng_state()
    folder = encoded(images, tmp_path / "out", workers=1)
    assert contents(folder) == contents(whole)
    assert torch.equal(torch.get_rng_state(), before)


# images that cannot be read


@pytest.fixture
def holed(images, tmp_path):
    """Images of which the whole second shard and one of the third cannot be read."""
    root = tmp_path / "holed"
    shutil.copytree(images, root)
    for name in list_images(root).files[5:11]:
        (root / name).write_bytes(b"no image")
    return root


def test_unreadable_images_are_left_out_and_named(holed, tmp_path, whole):
    shards = list(encode(holed, tmp_path / "out", vae=tiny_vae(), image_size=8, shard_size=5))
    assert [shard.count for shard in shards] == [5, 0, 1]
    assert [len(shard.unreadable) for shard in shards] == [0, 5, 1]
    assert [(shard.done, shard.total) for shard in shards] == [(5, 12), (10, 12), (12, 12)]
    data = Latents(tmp_path / "out")
    assert data.index.unreadable == list_images(holed).files[5:11]
    assert len(data) == 6
    left = [*range(5), 11]
    there = data.batch(torch.arange(6), torch.zeros(6, dtype=torch.int64))
    full = Latents(whole).batch(torch.tensor(left), torch.zeros(6, dtype=torch.int64))
    assert torch.allclose(there.images, full.images, atol=1e-2)
    assert torch.equal(there.labels, full.labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_an_error_if_strict(holed, workers, tmp_path):
    bad = str(holed / list_images(holed).files[5])
    said = refused(lambda: encoded(holed, tmp_path / "out", strict=True, workers=workers))
    assert bad in said
    assert sorted(contents(tmp_path / "out")) == ["plan.json", "shard-00000.safetensors"]
    encoded(holed, tmp_path / "out")  # goes on
    (tmp_path / "out" / "index.json").unlink()
    said = refused(lambda: encoded(holed, tmp_path / "out", strict=True))
    assert f"{bad} could not be read by an earlier run" in said


def test_where_no_image_can_be_read_there_is_no_index(tmp_path):
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png").write_bytes(b"")
    said = refused(lambda: encoded(tmp_path / "images", tmp_path / "out"))
    assert "not one of its images can be read" in said
    assert not (tmp_path / "out" / "index.json").exists()


def test_latents_that_a_type_cannot_hold_are_refused(images, tmp_path):
    vae = tiny_vae()
    with torch.no_grad():
        vae.quant_conv.bias += 1e6
    said = refused(lambda: encoded(images, tmp_path / "out", vae=vae))
    assert "hold inf or NaN in float16" in said
    encoded(images, tmp_path / "exact", vae=vae, dtype="bfloat16")


# runs that end early


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
    left = sorted(contents(tmp_path / "out"))
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


# the program


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
