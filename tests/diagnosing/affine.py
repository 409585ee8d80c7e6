"""Networks whose block is an affine map of a known matrix: all there is to find out is known."""

import torch
from torch import nn

from fpdm.diffusion import Diffusion
from fpdm.models import FixedPointNetwork, register_to_config
from tests.sampling.pipelines import pipeline

WIDTH = 6


class Pre(nn.Linear):
    def forward(self, x, cond):
        return super().forward(x) + cond


class Affine(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(width, width))

    def bind(self, features, cond):  # noqa: ARG002
        return lambda z: z @ self.matrix.T + features


class Post(nn.Linear):
    def forward(self, z, cond):  # noqa: ARG002
        return super().forward(z)


class AffineNetwork(FixedPointNetwork):
    @register_to_config
    def __init__(self, *, in_channels=2, num_classes=3, **solving):  # noqa: ARG002
        super().__init__(
            Pre(in_channels, WIDTH),
            Affine(WIDTH),
            Post(WIDTH, in_channels),
            width=WIDTH,
            **solving,
        )


def matrix(radius: float, seed: int = 0) -> torch.Tensor:
    """A matrix that is not normal, of this spectral radius."""
    rng = torch.Generator().manual_seed(seed)
    made = torch.randn(WIDTH, WIDTH, generator=rng, dtype=torch.float64)
    return radius * made / torch.linalg.eigvals(made).abs().max()


def affine(radius: float = 0.5, *, seed: int = 0, prediction: str = "v_prediction", **solving):
    """A pipeline of such a network."""
    torch.manual_seed(seed)
    model = AffineNetwork(**{"solver": "naive", "init": "features", **solving}).eval()
    with torch.no_grad():
        model.layer.block.matrix.copy_(matrix(radius, seed))
    return pipeline(model, Diffusion(prediction).scheduler(clip=False))
