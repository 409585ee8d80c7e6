"""Folders of latents: what is read of a shard, and what damage is called."""

import random
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fpdm.data import Latents, LatentSpace
from tests.data.pictures import cut, refused
from tests.data.reading import arrange, in_order


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
