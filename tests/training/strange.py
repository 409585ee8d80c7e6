"""A network and a data set as a plugin has them: points on circles, told how wide each is."""

from typing import ClassVar

import torch
from attrs import field, frozen
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from fpdm import hookimpl
from fpdm.checks import whole
from fpdm.data import Batch, Dataset, Shape
from fpdm.data.samples import samples
from fpdm.models import FixedPointNetwork


@frozen
class Circle(Dataset):
    """Points on circles of different radii, which are the condition; drawn from their seeds."""

    name: ClassVar[str] = "circle"
    count: int = field(default=50, validator=whole(minimum=1))

    @property
    def shape(self) -> Shape:
        return Shape(channels=2, size=(), condition_size=1)

    def __len__(self) -> int:
        return self.count

    def batch(self, indices, seeds) -> Batch:
        points, radii = torch.empty(len(indices), 2), torch.empty(len(indices), 1)
        for row, (index, generator) in enumerate(samples(indices, seeds, size=len(self))):
            radii[row] = 0.5 + index / len(self)
            angle = 2 * torch.pi * torch.rand((), generator=generator)
            points[row] = radii[row] * torch.stack([angle.cos(), angle.sin()])
        return Batch(points, condition=radii)


class Before(nn.Linear):
    def forward(self, x, cond):
        return torch.tanh(super().forward(x) + cond)


class Pull(nn.Linear):
    def bind(self, features, cond):
        return lambda z: features + 0.5 * torch.tanh(self(z) + cond)


class After(nn.Linear):
    def forward(self, z, cond):
        return super().forward(F.silu(z + cond))


class Round(FixedPointNetwork):
    """Three layers."""

    name: ClassVar[str] = "round"

    @register_to_config
    def __init__(self, *, in_channels=2, condition_size=1, width=8, **solving):  # noqa: ARG002
        before, after = Before(in_channels, width), After(width, in_channels)
        super().__init__(before, Pull(width, width), after, width=width, **solving)


@hookimpl
def fpdm_register_networks():
    return [Round]


@hookimpl
def fpdm_register_datasets():
    return [Circle]
