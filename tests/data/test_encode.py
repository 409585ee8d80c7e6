"""Encoding: the bytes that are written, and what cannot be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from fpdm.data import ImageFolder, Latents, encode
from fpdm.data.encoder import Encoder
from fpdm.data.listing import list_images
from fpdm.data.moments import draw_latent
from fpdm.data.shards import Layout
from tests.data.pictures import encoded, refused, save, tiny_vae
from tests.data.reading import contents


def together(folder, name: str = "latents") -> torch.Tensor:
    return torch.cat([load_file(path)[name] for path in sorted(folder.glob("shard-*"))])


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
    assert "not one of its 3 images can be read" in said
    assert not (tmp_path / "out" / "index.json").exists()


def test_latents_that_a_type_cannot_hold_are_refused(images, tmp_path):
    vae = tiny_vae()
    with torch.no_grad():
        vae.quant_conv.bias += 1e6
    said = refused(lambda: encoded(images, tmp_path / "out", vae=vae))
    assert "hold inf or NaN in float16" in said
    encoded(images, tmp_path / "exact", vae=vae, dtype="bfloat16")
