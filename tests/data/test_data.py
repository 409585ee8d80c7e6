"""Data sets: what a batch is, what is read of a file, and what damage is called."""

import os
import pickle
import random
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fpdm.data import FastDiT, ImageFolder, Latents, LatentSpace
from fpdm.data.pixels import read_pixels, square
from fpdm.errors import InvalidValueError
from tests.data.pictures import (
    CLASSES,
    Batches,
    encoded,
    features,
    image_folder,
    picture,
    refused,
    save,
)

KINDS = ("colours", "grey", "moments", "sample", "unflipped", "fast-dit")


def arrange(*seeds: int) -> torch.Tensor:
    return torch.tensor(seeds, dtype=torch.int64)


def in_order(data, seed: int = 0):
    """Every sample of a data set, in one batch."""
    return data.batch(torch.arange(len(data)), torch.arange(len(data)) + seed)


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
def datasets(sources):
    return {
        "colours": ImageFolder(sources / "images", size=8),
        "grey": ImageFolder(sources / "images", size=5, channels=1, flip=False),
        **{name: Latents(sources / name) for name in ("moments", "sample", "unflipped")},
        "fast-dit": FastDiT(sources / "fast-dit"),
    }


# every data set


@pytest.mark.parametrize("kind", KINDS)
@given(
    asked=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**63 - 1)), max_size=6),
    cut=st.integers(0, 6),
)
def test_a_batch_is_the_same_however_it_is_split(datasets, kind, asked, cut):
    data = datasets[kind]
    indices, seeds = arrange(*(i for i, _ in asked)), arrange(*(seed for _, seed in asked))
    whole = data.batch(indices, seeds)
    parts = [data.batch(indices[:cut], seeds[:cut]), data.batch(indices[cut:], seeds[cut:])]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_has_the_shape_that_the_data_set_says(datasets, kind):
    data, batch = datasets[kind], in_order(datasets[kind])
    shape = data.shape
    assert batch.images.shape == (len(data), shape.channels, shape.size, shape.size)
    assert (batch.images.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
    assert set(batch.labels.tolist()) == set(range(shape.num_classes)) == {0, 1, 2}
    assert batch.unreadable == ()
    if kind != "fast-dit":
        assert shape.class_names == dict(enumerate(CLASSES))


def test_worker_processes_read_the_same_batches(datasets):
    indices, seeds = arrange(3, 0, 11, 7), arrange(5, 6, 7, 8)
    for data in datasets.values():
        in_order(data)  # so that files are open
    asked = [(data, indices, seeds) for data in datasets.values()]
    loader = torch.utils.data.DataLoader(
        Batches(asked), batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    for read, (data, *_) in zip(loader, asked, strict=True):
        here = data.batch(indices, seeds)
        assert torch.equal(read.images, here.images)
        assert torch.equal(read.labels, here.labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("indices", "seeds", "said"),
    [
        (arrange(12), arrange(0), "indices from 12 to 12: must be from 0 to 11"),
        (arrange(0, -1), arrange(0, 0), "indices from -1 to 0"),
        (arrange(0), arrange(-5), "seeds from -5"),
        (arrange(0, 1), arrange(0), "2 indices and 1 seeds"),
        (torch.zeros(1), arrange(0), "indices: must be a tensor of int64"),
        ([0], arrange(0), "indices: must be a tensor of int64"),
        (torch.tensor(0), arrange(0), "one dimension"),
    ],
)
def test_a_batch_of_what_is_not_there_is_refused(datasets, kind, indices, seeds, said):
    assert said in refused(lambda: datasets[kind].batch(indices, seeds))


@pytest.mark.parametrize("make", [lambda root: ImageFolder(root, size=8), Latents, FastDiT])
def test_what_is_no_folder_is_refused(make, tmp_path):
    (tmp_path / "file").write_text("")
    assert "there is no such folder" in refused(lambda: make(tmp_path / "nothing"))
    assert "is a file, not a folder" in refused(lambda: make(str(tmp_path / "file")))
    assert "must be the path of a folder" in refused(lambda: make(3))


# images: which files


def names(data: ImageFolder) -> list[str]:
    return list(data.listing.files)


def test_files_are_found_at_any_depth_and_sorted_by_name(tmp_path):
    wanted = ["a/1.PNG", "a/10.png", "a/2.jpeg", "a/deep/er/0.WebP", "b/0.jpg"]
    for name in wanted[::-1]:
        save(tmp_path / name)
    for other in ("a/.hidden.png", ".hidden/a.png", "a/readme.txt", "empty/notes.md"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("no image")
    data = ImageFolder(tmp_path, size=4)
    assert names(data) == wanted
    assert data.listing.labels == (0, 0, 0, 0, 1)
    assert data.shape.class_names == {0: "a", 1: "b"}


def test_the_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    root = image_folder(tmp_path)
    usual = ImageFolder(root, size=4).listing
    scan = os.scandir

    class Shuffled:
        def __init__(self, folder):
            self.entries = list(scan(folder))
            random.Random(1).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert ImageFolder(root, size=4).listing == usual


def test_without_folders_there_are_no_classes(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    data = ImageFolder(tmp_path, size=4)
    assert (data.shape.num_classes, data.shape.class_names) == (0, {})
    assert in_order(data).labels.tolist() == [0, 0, 0]


def test_images_beside_folders_of_classes_are_refused(tmp_path):
    save(image_folder(tmp_path) / "loose.png")
    said = refused(lambda: ImageFolder(tmp_path, size=4))
    assert "holds loose.png beside cat/0.png" in said


def test_a_folder_without_an_image_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("")
    assert "holds no image" in refused(lambda: ImageFolder(tmp_path, size=4))


def test_a_link_back_to_its_own_folder_is_not_followed_for_ever(tmp_path):
    image_folder(tmp_path / "root")
    (tmp_path / "root" / "cat" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "elsewhere").mkdir()
    save(tmp_path / "elsewhere" / "0.png")
    (tmp_path / "root" / "fox").symlink_to(tmp_path / "elsewhere")
    data = ImageFolder(tmp_path / "root", size=4)
    assert len(data) == 13
    assert data.shape.class_names[3] == "fox"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "size=0: must be a whole number ≥ 1"),
        ({"size": 8.0}, "size=8.0"),
        ({"size": 8, "channels": 4}, "channels=4: must be 1 (grey) or 3 (colours)"),
        ({"size": 8, "flip": 1}, "flip=1: must be true or false"),
        ({"size": 8, "strict": "no"}, "strict='no': must be true or false"),
    ],
)
def test_an_option_of_images_that_is_not_allowed_is_refused(sources, options, said):
    assert said in refused(lambda: ImageFolder(sources / "images", **options))


# images: which pixels


def resampled(lines: np.ndarray, count: int, kernel, support: float) -> np.ndarray:
    """Resample each row to `count` values, each a weighted mean of the old ones near it."""
    places, scale = np.arange(lines.shape[1]), lines.shape[1] / count
    width = max(scale, 1)  # an enlarging filter is not widened
    weights = np.zeros((count, len(places)))
    for row, centre in zip(weights, (np.arange(count) + 0.5) * scale, strict=True):
        first, end = (int(max(0, centre + side * width + 0.5)) for side in (-support, support))
        near = places[first:end]
        row[near] = kernel((near - centre + 0.5) / width)
        row /= row.sum()
    return lines @ weights.T


def box(x: np.ndarray) -> np.ndarray:
    return ((x > -0.5) & (x <= 0.5)).astype(float)


def bicubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981 with a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def shrunk(image: np.ndarray, width: int, height: int, kernel, support: float) -> np.ndarray:
    wide = resampled(image, width, kernel, support)
    return resampled(wide.T, height, kernel, support).T


def reference_square(image: np.ndarray, size: int) -> np.ndarray:
    while min(image.shape) >= 2 * size:
        height, width = image.shape
        image = shrunk(image, width // 2, height // 2, box, 0.5)
    scale = size / min(image.shape)
    height, width = (round(side * scale) for side in image.shape)
    image = shrunk(image, width, height, bicubic, 2)
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(0, 99))
@settings(max_examples=60)
def test_an_image_is_cut_and_resized_as_written_here(width, height, size, seed):
    image = picture(seed, width=width, height=height, mode="L").point(lambda level: 64 + level / 2)
    cut = np.asarray(square(image, size)).astype(float)
    assert cut.shape == (size, size)
    expected = reference_square(np.asarray(image).astype(float), size)
    assert np.abs(cut - expected).max() < 4  # each pass over rows or columns rounds to a level


def test_pixels_of_the_right_size_are_kept_as_they_are(tmp_path):
    path = save(tmp_path / "a.png", width=6, height=6)
    pixels = read_pixels(path, size=6, channels=3)
    levels = torch.from_numpy(np.array(picture(width=6, height=6))).permute(2, 0, 1)
    assert torch.equal(((pixels + 1) * 127.5).round(), levels.float())
    assert pixels.abs().max() <= 1


def test_the_middle_is_kept(tmp_path):
    image = Image.new("RGB", (30, 10), "black")
    image.paste("white", (10, 0, 20, 10))
    image.save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png", size=10, channels=3)[:, :, 1:-1] == 1).all()


def grey_levels(path, **options) -> torch.Tensor:
    pixels = read_pixels(path, **({"size": 6, "channels": 1} | options))
    return ((pixels + 1) * 127.5).round().int()


def test_nothing_is_seen_through_to_white(tmp_path):
    for mode, clear in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        Image.new(mode, (6, 6), clear).save(tmp_path / "clear.png")
        assert (grey_levels(tmp_path / "clear.png") == 255).all()
    palette = Image.new("P", (6, 6), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert (grey_levels(tmp_path / "palette.png") == 255).all()
    palette.save(tmp_path / "palette.png")
    assert (grey_levels(tmp_path / "palette.png") == 0).all()
    Image.new("RGBA", (6, 6), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert (grey_levels(tmp_path / "half.png", channels=3) == 127).all()


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.linspace(0, 65535, 36).astype(np.uint16).reshape(6, 6)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(grey_levels(tmp_path / "deep.png")[0], np.round(deep / 257))


def test_an_image_is_turned_as_its_camera_says(tmp_path):
    upright = picture(width=6, height=6)
    for orientation, stored in (
        (3, upright.transpose(Image.Transpose.ROTATE_180)),
        (6, upright.transpose(Image.Transpose.ROTATE_90)),
        (8, upright.transpose(Image.Transpose.ROTATE_270)),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(tmp_path / "turned.png", exif=exif)
        upright.save(tmp_path / "upright.png")
        turned = grey_levels(tmp_path / "turned.png", channels=3)
        assert torch.equal(turned, grey_levels(tmp_path / "upright.png", channels=3))


def test_every_format_and_mode_is_read(tmp_path):
    for suffix in ("png", "jpg", "jpeg", "webp"):
        picture().save(tmp_path / f"a.{suffix}")
    picture().convert("CMYK").save(tmp_path / "b.jpg")
    picture().convert("1").save(tmp_path / "b.png")
    picture(mode="RGBA").save(tmp_path / "c.webp")
    batch = in_order(ImageFolder(tmp_path, size=5, strict=True))
    assert batch.images.shape == (7, 3, 5, 5)


def test_half_of_the_samples_are_mirrored_and_none_without_flip(tmp_path):
    save(tmp_path / "a.png")
    many = 400
    zeros, seeds = torch.zeros(many, dtype=torch.int64), torch.arange(many)
    plain = ImageFolder(tmp_path, size=4, flip=False).batch(zeros, seeds).images
    assert (plain == plain[0]).all()
    flipped = ImageFolder(tmp_path, size=4).batch(zeros, seeds).images
    same = [torch.equal(image, plain[0]) for image in flipped]
    mirrored = [torch.equal(image, plain[0].flip(-1)) for image in flipped]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 160 < sum(same) < 240


# images: what cannot be read


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def whole_file(suffix: str, tmp_path) -> bytes:
    path = tmp_path / f"whole.{suffix}"
    picture(width=40, height=40).save(path)
    content = path.read_bytes()
    path.unlink()
    return content


UNREADABLE = {
    "empty": lambda _: b"",
    "text": lambda _: b"this is no image",
    "bomb": lambda _: bomb(60_000, 60_000),
    "bitmap": lambda tmp_path: whole_file("bmp", tmp_path),
    **{
        f"{suffix} cut at {share:.0%}": lambda tmp_path, suffix=suffix, share=share: (
            lambda content: content[: int(share * len(content))]
        )(whole_file(suffix, tmp_path))
        for suffix in ("png", "jpg", "webp")
        for share in (0.01, 0.1, 0.3, 0.6, 0.9)
    },
}


@pytest.mark.parametrize("damage", UNREADABLE)
def test_the_next_image_takes_the_place_of_one_that_cannot_be_read(damage, tmp_path):
    content = UNREADABLE[damage](tmp_path)
    root = image_folder(tmp_path / "root", each=2, classes=("a", "b"))
    bad = root / "a" / "1.png"
    bad.write_bytes(content)
    data = ImageFolder(root, size=4, flip=False)
    batch = in_order(data)
    assert batch.unreadable == (str(bad),)
    assert batch.labels.tolist() == [0, 1, 1, 1]
    assert torch.equal(batch.images[1], batch.images[2])
    said = refused(lambda: in_order(ImageFolder(root, size=4, strict=True)))
    assert str(bad) in said


def test_the_first_image_follows_the_last(tmp_path):
    root = image_folder(tmp_path, each=1)
    (root / "eel" / "0.png").write_bytes(b"")
    batch = ImageFolder(root, size=4).batch(arrange(2), arrange(0))
    assert batch.labels.tolist() == [0]


def test_an_image_that_is_gone_or_too_long_is_unreadable(tmp_path):
    root = image_folder(tmp_path, each=2)
    data = ImageFolder(root, size=300)
    (root / "cat" / "0.png").unlink()
    save(root / "cat" / "1.png", width=1, height=1_500)  # would be 300 × 450 000
    batch = data.batch(arrange(0), arrange(0))
    assert batch.unreadable == (str(root / "cat" / "0.png"), str(root / "cat" / "1.png"))
    assert batch.labels.tolist() == [1]


def test_where_nothing_can_be_read_there_is_no_batch(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"")
    data = ImageFolder(tmp_path, size=4)
    said = refused(lambda: data.batch(arrange(1), arrange(0)))
    assert "not one of its 3 images can be read" in said


# latents


def test_latents_are_read_from_the_shards_shifted_and_scaled(sources):
    data = Latents(sources / "sample", flip=False)
    stored = torch.cat(
        [load_file(path)["latents"] for path in sorted((sources / "sample").glob("shard-*"))]
    )
    assert torch.allclose(in_order(data).images, (stored - 0.25) * 0.5)
    assert data.shape.latent_space == LatentSpace(None, scaling_factor=0.5, shift_factor=0.25)


def test_moments_are_sampled_with_their_mean_and_deviation(sources):
    data = Latents(sources / "moments", flip=False)
    many = 4000
    draws = data.batch(torch.full((many,), 7), torch.arange(many)).images.double()
    with safe_open(sources / "moments" / "shard-00001.safetensors", "pt") as shard:
        mean, log_variance = shard.get_slice("latents")[2].double().chunk(2)
    deviation = (log_variance / 2).exp()
    standard = (draws / 0.5 + 0.25 - mean) / deviation
    assert standard.mean(0).abs().max() < 5 / many**0.5
    assert (standard.std(0) - 1).abs().max() < 5 / (2 * many) ** 0.5
    assert (draws[0] != draws[1]).all()


def test_half_of_the_latents_are_those_of_the_mirrored_image(sources):
    data, plain = Latents(sources / "sample"), Latents(sources / "sample", flip=False)
    many = 400
    zeros, seeds = torch.zeros(many, dtype=torch.int64), torch.arange(many)
    unflipped = plain.batch(zeros, seeds).images
    assert (unflipped == unflipped[0]).all()
    mirrored = load_file(sources / "sample" / "shard-00000.safetensors")["flipped"][0]
    mirrored = (mirrored - 0.25) * 0.5
    read = data.batch(zeros, seeds).images
    count = sum(torch.equal(latent, mirrored) for latent in read)
    assert count + sum(torch.equal(latent, unflipped[0]) for latent in read) == many
    assert 160 < count < 240


def damaged(sources, tmp_path, name: str = "moments"):
    root = tmp_path / name
    shutil.copytree(sources / name, root)
    return root


def rewrite(path, **changes) -> None:
    """Write a shard again with other tensors."""
    with safe_open(path, "pt") as shard:
        about = shard.metadata()
    tensors = {**load_file(path), **changes}
    save_file({k: v for k, v in tensors.items() if v is not None}, path, metadata=about)


def cut(path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def flip_bit(path, seed: int) -> None:
    content = bytearray(path.read_bytes())
    at = random.Random(seed).randrange(8 * len(content))
    content[at // 8] ^= 1 << at % 8
    path.write_bytes(content)


SHARD = "shard-00001.safetensors"
SHARD_DAMAGE = {
    **{f"bit {seed}": lambda p, seed=seed: flip_bit(p, seed) for seed in range(20)},
    **{
        f"cut at {share}": lambda p, share=share: cut(p, share)
        for share in (0, 0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.999)
    },
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"\0"),
    "deleted": lambda p: p.unlink(),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
    "text": lambda p: p.write_text("no shard"),
    "another shard": lambda p: shutil.copy(p.with_name("shard-00000.safetensors"), p),
    "labels swapped": lambda p: rewrite(p, labels=load_file(p)["labels"].flip(0)),
    "labels too large": lambda p: rewrite(p, labels=torch.full((5,), 3)),
    "labels negative": lambda p: rewrite(p, labels=torch.full((5,), -1)),
    "labels of float": lambda p: rewrite(p, labels=torch.zeros(5)),
    "no labels": lambda p: rewrite(p, labels=None),
    "no flips": lambda p: rewrite(p, flipped=None),
    "one more": lambda p: rewrite(p, more=torch.zeros(5)),
    "half the channels": lambda p: rewrite(p, latents=torch.zeros(5, 4, 4, 4).half()),
    "other type": lambda p: rewrite(p, latents=torch.zeros(5, 8, 4, 4)),
    "fewer rows": lambda p: rewrite(p, **{k: v[:4].clone() for k, v in load_file(p).items()}),
}


@pytest.mark.parametrize("damage", SHARD_DAMAGE)
def test_a_damaged_shard_is_one_sentence(damage, sources, tmp_path):
    root = damaged(sources, tmp_path)
    SHARD_DAMAGE[damage](root / SHARD)
    assert SHARD in refused(lambda: Latents(root))


@pytest.mark.parametrize("damage", [name for name in SHARD_DAMAGE if "bit" not in name])
def test_a_header_is_checked_even_where_the_checksum_is_not(damage, sources, tmp_path):
    root = damaged(sources, tmp_path)
    SHARD_DAMAGE[damage](root / SHARD)
    path = root / SHARD
    if path.is_file():  # so that only the header can tell
        set_entry(root, bytes=path.stat().st_size)
    if damage in ("labels swapped", "another shard"):
        Latents(root, verify=False)
    else:
        assert SHARD in refused(lambda: Latents(root, verify=False))


def set_entry(root, **changes) -> None:
    import json

    index = json.loads((root / "index.json").read_text())
    index["shards"][1] |= changes
    (root / "index.json").write_text(json.dumps(index))


def test_what_happens_to_a_shard_later_is_one_sentence(sources, tmp_path):
    root = damaged(sources, tmp_path)
    data = Latents(root)
    (root / SHARD).unlink()
    assert SHARD in refused(lambda: data.batch(arrange(5), arrange(0)))
    assert SHARD in refused(data.verify)


def test_latents_that_are_not_finite_are_refused(sources, tmp_path):
    root = damaged(sources, tmp_path)
    rewrite(root / SHARD, latents=torch.full((5, 8, 4, 4), float("nan")).half())
    set_entry(root, bytes=(root / SHARD).stat().st_size)
    data = Latents(root, verify=False, flip=False)
    assert "holds inf or NaN" in refused(lambda: data.batch(arrange(5), arrange(0)))


INDEX_DAMAGE = {
    "format": ("other", '"format": "fpdm latents"'),
    "version": (2, "version=2; this version of fpdm reads 1"),
    "stored": ("means", "must be one of moments, sample"),
    "flipped": ("yes", "flipped='yes': must be true or false"),
    "dtype": ("float8", "must be one of float16, bfloat16, float32"),
    "channels": (0, "channels=0: must be a whole number ≥ 1"),
    "size": (4.0, "size=4.0: must be a whole number"),
    "image_size": ("8", "image_size='8': must be a whole number"),
    "class_names": ({"0": "cat"}, "must be a list of texts"),
    "vae": (3, "vae=3: must be a text or null"),
    "scaling_factor": (float("nan"), "scaling_factor=nan: must be a number > 0"),
    "shift_factor": (float("inf"), "shift_factor=inf: must be a number"),
    "unreadable": ([1], "must be a list of texts"),
    "shards": ("all", "shards='all': must be a list"),
}


def set_index(root, key: str, value: object) -> None:
    import json

    index = json.loads((root / "index.json").read_text())
    index[key] = value
    (root / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("key", INDEX_DAMAGE)
def test_a_wrong_value_in_the_index_is_one_sentence(key, sources, tmp_path):
    root = damaged(sources, tmp_path)
    value, said = INDEX_DAMAGE[key]
    set_index(root, key, value)
    assert said in refused(lambda: Latents(root))


@pytest.mark.parametrize("key", [key for key in INDEX_DAMAGE if key not in ("format", "version")])
def test_a_missing_key_of_the_index_is_named(key, sources, tmp_path):
    import json

    root = damaged(sources, tmp_path)
    index = json.loads((root / "index.json").read_text())
    del index[key]
    (root / "index.json").write_text(json.dumps(index))
    assert f"{key} is missing" in refused(lambda: Latents(root))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file": "../moments/shard-00001.safetensors"}, "must be the name of a shard"),
        ({"count": -1}, "count=-1"),
        ({"count": 4}, "holds 5 latents: must hold 4"),
        ({"sha256": "0" * 64}, SHARD),
        ({"sha256": "none"}, "must be 64 hexadecimal digits"),
        ({"bytes": 7}, SHARD),
        ({"colour": "red"}, "there is no 'colour'"),
    ],
)
def test_a_wrong_shard_in_the_index_is_one_sentence(changes, said, sources, tmp_path):
    root = damaged(sources, tmp_path)
    set_entry(root, **changes)
    assert said in refused(lambda: Latents(root))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "[" * 100_000, "{}", '{"a": 1}', b"\xff"]
)
def test_an_index_that_is_none_is_one_sentence(content, sources, tmp_path):
    root = damaged(sources, tmp_path)
    (root / "index.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "index.json" in refused(lambda: Latents(root))


def test_a_folder_without_latents_is_refused(sources, tmp_path):
    root = damaged(sources, tmp_path)
    assert "must be true or false" in refused(lambda: Latents(root, verify=1))
    assert "must be true or false" in refused(lambda: Latents(root, flip=None))
    set_index(root, "shards", [])
    assert "holds no latents" in refused(lambda: Latents(root))
    (root / "index.json").unlink()
    assert "is incomplete: run the same `fpdm encode` again" in refused(lambda: Latents(root))
    (root / "plan.json").unlink()
    assert "must be a folder that `fpdm encode` wrote" in refused(lambda: Latents(root))


# features of fast-DiT


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


def test_a_wrong_value_is_a_value_error(tmp_path):
    with pytest.raises(ValueError, match="holds no image"):
        ImageFolder(tmp_path, size=4)
    assert issubclass(InvalidValueError, ValueError)
