"""Small folders of images, of latents and of features, a small VAE, and what is said of damage."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpdm.data import Batch, Dataset, encode
from fpdm.errors import FPDMError

CLASSES = ("cat", "dog", "eel")


def picture(seed: int = 0, *, width: int = 20, height: int = 12, mode: str = "RGB") -> Image.Image:
    """Noise, so that no two places look alike."""
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}[mode]
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, *channels), dtype=np.uint8))


def save(path: Path, seed: int = 0, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, **options).save(path)
    return path


def image_folder(root: Path, *, each: int = 4, classes: tuple[str, ...] = CLASSES) -> Path:
    """`each` images of every class, all of different sizes."""
    for label, name in enumerate(classes):
        for i in range(each):
            number = label * each + i
            save(root / name / f"{i}.png", number, width=9 + number, height=20 - number % 5)
    return root


def tiny_vae(seed: int = 0, **options):
    """An autoencoder with random weights that halves height and width."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {
            "block_out_channels": (8, 8),
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "norm_num_groups": 4,
            "latent_channels": 4,
            "scaling_factor": 0.5,
            "shift_factor": 0.25,
        }
        return AutoencoderKL(**(sizes | options)).eval()


def encoded(images: Path, target: Path, **options) -> Path:
    """A folder of latents, in shards of 5."""
    sizes = {"image_size": 8, "batch_size": 2, "shard_size": 5, "vae": None}
    chosen = sizes | options
    list(encode(images, target, **(chosen | {"vae": chosen["vae"] or tiny_vae()})))
    return target


def features(root: Path, *, count: int = 12, classes: int = 3, order=None) -> Path:
    """A folder as fast-DiT writes it; the numbers in a file follow from its name."""
    for name in ("tiny_features", "tiny_labels"):
        (root / name).mkdir(parents=True)
    for i in order or range(count):
        latent = np.random.default_rng(i).standard_normal((1, 4, 4, 4), dtype=np.float32)
        np.save(root / "tiny_features" / f"{i}.npy", latent)
        np.save(root / "tiny_labels" / f"{i}.npy", np.array([i % classes]))
    return root


class Batches(torch.utils.data.Dataset):
    """Batches of data sets, to be read by worker processes."""

    def __init__(self, asked: list[tuple[Dataset, torch.Tensor, torch.Tensor]]) -> None:
        self.asked = asked

    def __len__(self) -> int:
        return len(self.asked)

    def __getitem__(self, number: int) -> Batch:
        data, indices, seeds = self.asked[number]
        return data.batch(indices, seeds)


def refused(make) -> str:
    """The one sentence that an FPDMError says."""
    try:
        make()
    except FPDMError as error:
        said = str(error)
    else:
        pytest.fail("it was not refused")
    assert said == " ".join(said.split())
    assert said.endswith(".")
    return said


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
