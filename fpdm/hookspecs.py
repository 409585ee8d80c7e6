"""The hooks of a plugin: one for each kind, without arguments, returning a list of classes.

A plugin is a module named in the entry-point group `fpdm`, with any of these functions in it,
each marked with `fpdm.hookimpl`. A class carries the name under which it is looked up. It is built
with its options as keywords, so every option has a default. Networks and data sets are asked for
when one of them is first looked up.
"""

from __future__ import annotations

import pluggy

from fpdm.data.dataset import Dataset
from fpdm.interfaces import (
    AllocationPolicy,
    FixedPointSolver,
    GradientEstimator,
    InitStrategy,
    Network,
)

hookspec = pluggy.HookspecMarker("fpdm")
hookimpl = pluggy.HookimplMarker("fpdm")


@hookspec
def fpdm_register_solvers() -> list[type[FixedPointSolver]]:  # type: ignore[empty-body]
    """Return solver classes, found afterwards by `fpdm.solver(name)`.

    Examples:
        A solver that goes half of the way to the image, and can be told to go further:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> from fpdm import FixedPointSolver, hookimpl
        >>> from fpdm.checks import real
        >>> from fpdm.iteration import IterativeSolver
        >>> @frozen
        ... class Partway(IterativeSolver):
        ...     name: ClassVar[str] = "partway"
        ...     share: float = field(default=0.5, validator=real(above=0, maximum=1))
        ...     def start(self, z0):
        ...         return None
        ...     def advance(self, z, image, state):
        ...         return z.lerp(image, self.share), state
        >>> @hookimpl
        ... def fpdm_register_solvers() -> list[type[FixedPointSolver]]:
        ...     return [Partway]
        >>> [cls.name for cls in fpdm_register_solvers()]
        ['partway']
    """


@hookspec
def fpdm_register_allocations() -> list[type[AllocationPolicy]]:  # type: ignore[empty-body]
    """Return allocation policies, found afterwards by `fpdm.allocation(name)`.

    Examples:
        A policy that gives the last timesteps more than the others, by a factor:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> from fpdm import AllocationPolicy, hookimpl
        >>> from fpdm.allocator import WeightedAllocation
        >>> from fpdm.checks import real
        >>> @frozen
        ... class Finish(WeightedAllocation):
        ...     name: ClassVar[str] = "finish"
        ...     factor: float = field(default=3.0, validator=real(minimum=1))
        ...     def weights(self, steps):
        ...         late = steps // 4
        ...         return [1.0] * (steps - late) + [self.factor] * late
        >>> @hookimpl
        ... def fpdm_register_allocations() -> list[type[AllocationPolicy]]:
        ...     return [Finish]
        >>> fpdm_register_allocations()[0]().plan(budget=20, steps=8)
        (1, 1, 2, 2, 2, 2, 5, 5)
    """


@hookspec
def fpdm_register_inits() -> list[type[InitStrategy]]:  # type: ignore[empty-body]
    """Return init strategies, found afterwards by `fpdm.init(name)`.

    Examples:
        A strategy that starts between the features and the last solution:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> import torch
        >>> from fpdm import InitStrategy, Moment, hookimpl
        >>> from fpdm.checks import real
        >>> @frozen
        ... class Between(InitStrategy):
        ...     name: ClassVar[str] = "between"
        ...     lookback: ClassVar[int] = 1  # past timesteps that are read
        ...     weight: float = field(default=0.5, validator=real(minimum=0, maximum=1))
        ...     def initial(self, features, history, moment):
        ...         if not history:
        ...             return features
        ...         return features.lerp(history[-1].solution.value, self.weight)
        >>> @hookimpl
        ... def fpdm_register_inits() -> list[type[InitStrategy]]:
        ...     return [Between]
        >>> fpdm_register_inits()[0]().initial(torch.ones(1, 4, 8), [], Moment()).shape
        torch.Size([1, 4, 8])
    """


@hookspec
def fpdm_register_gradients() -> list[type[GradientEstimator]]:  # type: ignore[empty-body]
    """Return gradient estimators, found afterwards by `fpdm.gradient(name)`.

    Examples:
        An estimator that backpropagates through a few evaluations from the start on:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> import torch, fpdm
        >>> from fpdm import GradientEstimator, hookimpl
        >>> from fpdm.checks import whole
        >>> @frozen
        ... class Short(GradientEstimator):
        ...     name: ClassVar[str] = "short"
        ...     evals: int = field(default=3, validator=whole(minimum=1))
        ...     def solve(self, f, z0, solver, generator=None):
        ...         return solver.solve(f, z0, evals=self.evals)
        >>> @hookimpl
        ... def fpdm_register_gradients() -> list[type[GradientEstimator]]:
        ...     return [Short]
        >>> weight = torch.tensor([[0.5]], requires_grad=True)
        >>> solution = fpdm_register_gradients()[0]().solve(
        ...     lambda z: weight * z + 1, torch.zeros(1, 1), fpdm.solver("naive"))
        >>> solution.value.sum().backward()
        >>> round(weight.grad.item(), 2)  # of 1 + w + w²
        2.0
    """


@hookspec
def fpdm_register_networks() -> list[type[Network]]:  # type: ignore[empty-body]
    """Return networks, found afterwards by `fpdm.network(name)` and in a training's configuration.

    Examples:
        One layer that is iterated, between a convolution and another. It is a model of diffusers,
        so that it is saved and loaded:

        >>> from typing import Any, ClassVar
        >>> import torch, fpdm
        >>> from diffusers.configuration_utils import register_to_config
        >>> from fpdm import hookimpl
        >>> from fpdm.models import SavedNetwork
        >>> from torch import nn
        >>> class Pre(nn.Conv2d):
        ...     def forward(self, x, cond): return super().forward(x) + cond
        >>> class Pull(nn.Module):
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.inside = nn.Conv2d(width, width, 3, padding=1)
        ...     def bind(self, features, cond):
        ...         return lambda z: features + cond + 0.5 * torch.tanh(self.inside(z))
        >>> class Post(nn.Conv2d):
        ...     def forward(self, z, cond): return super().forward(z)
        >>> class Shallow(SavedNetwork):
        ...     name: ClassVar[str] = "shallow"
        ...     pre_passes = post_passes = 0
        ...     @register_to_config
        ...     def __init__(self, *, sample_size=8, in_channels=1, num_classes=10, width=16):
        ...         super().__init__()
        ...         self.label = nn.Embedding(num_classes + 1, width)
        ...         self.time = nn.Linear(1, width)
        ...         self.denoiser = fpdm.FixedPointDenoiser(
        ...             Pre(in_channels, width, 3, padding=1),
        ...             fpdm.FixedPointLayer(Pull(width)),
        ...             Post(width, in_channels, 3, padding=1))
        ...     @property
        ...     def layer(self): return self.denoiser.layer
        ...     def forward(self, x, timestep, class_labels, **solving):
        ...         noise = self.check_call(x, timestep, class_labels).to(x) / 1000
        ...         cond = self.label(class_labels) + self.time(noise[:, None])
        ...         return self.denoiser(x, cond[:, :, None, None], **solving)
        >>> @hookimpl
        ... def fpdm_register_networks() -> list[type[fpdm.Network]]:
        ...     return [Shallow]
        >>> model = fpdm_register_networks()[0](width=4).eval()
        >>> x, labels = torch.randn(2, 1, 8, 8), torch.tensor([3, 10])
        >>> model(x, timestep=500, class_labels=labels, evals=3).sample.shape
        torch.Size([2, 1, 8, 8])
    """


@hookspec
def fpdm_register_datasets() -> list[type[Dataset]]:  # type: ignore[empty-body]
    """Return data sets, found afterwards by `fpdm.dataset(name)` and in a configuration.

    Examples:
        Squares in two shades, each where its seed puts it:

        >>> from typing import ClassVar
        >>> import torch
        >>> from attrs import field, frozen
        >>> from fpdm import hookimpl
        >>> from fpdm.checks import whole
        >>> from fpdm.data import Batch, Dataset, Shape
        >>> @frozen
        ... class Squares(Dataset):
        ...     name: ClassVar[str] = "squares"
        ...     size: int = field(default=8, validator=whole(minimum=4))
        ...     @property
        ...     def shape(self):
        ...         return Shape(channels=1, size=self.size, num_classes=2)
        ...     def __len__(self):
        ...         return 1000
        ...     def batch(self, indices, seeds):
        ...         images = torch.full((len(indices), 1, self.size, self.size), -1.0)
        ...         for image, index, seed in zip(images, indices.tolist(), seeds.tolist()):
        ...             x, y = seed % (self.size - 2), seed // 97 % (self.size - 2)
        ...             image[:, y : y + 3, x : x + 3] = index % 2
        ...         return Batch(images, indices % 2)
        >>> @hookimpl
        ... def fpdm_register_datasets() -> list[type[Dataset]]:
        ...     return [Squares]
        >>> squares = fpdm_register_datasets()[0](size=6)
        >>> squares.batch(torch.arange(4), torch.arange(4)).images.shape
        torch.Size([4, 1, 6, 6])
    """
