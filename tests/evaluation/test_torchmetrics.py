"""The distances agree with those of torchmetrics, which others use, by the same features."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from fpdm.evaluation import TorchScript, frechet_distance, kernel_distance
from tests.evaluation.networks import script


class Squares(nn.Module):
    """Pixels and their squares, in the place of Inception: any numbers will do."""

    num_features = 24

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1).to(torch.float64) / 255
        return torch.cat([flat, flat**2], dim=1)


@pytest.fixture(scope="module")
def images():
    """Two sets of small images, uint8, which differ a little."""
    rng = np.random.default_rng(0)
    real = rng.integers(0, 200, size=(120, 3, 2, 2), dtype=np.uint8)
    drawn = rng.integers(30, 256, size=(90, 3, 2, 2), dtype=np.uint8)
    return torch.from_numpy(real), torch.from_numpy(drawn)


@pytest.fixture(scope="module")
def features(images, tmp_path_factory):
    file = TorchScript(script(Squares(), tmp_path_factory.mktemp("net") / "squares.pt"))
    return [file(each / 127.5 - 1) for each in images]


def measured(metric, images) -> Tensor:
    for each, real in zip(images, (True, False), strict=True):
        metric.update(each, real=real)
    return metric.compute()


def test_the_frechet_distance_is_that_of_torchmetrics(images, features):
    theirs = measured(FrechetInceptionDistance(feature=Squares()).set_dtype(torch.float64), images)
    assert frechet_distance(*features) == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
def test_the_kernel_distance_is_that_of_torchmetrics(images, features):
    """Of whole sets, where theirs, of subsets, leaves nothing to chance."""
    real, drawn = (each[:90] for each in images)
    metric = KernelInceptionDistance(feature=Squares(), subsets=1, subset_size=90)
    theirs, _ = measured(metric.set_dtype(torch.float64), (real, drawn))
    ours = kernel_distance(*(each[:90] for each in features))
    assert ours == pytest.approx(float(theirs), rel=1e-6)
