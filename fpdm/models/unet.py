"""A U-Net whose middle is a fixed point, of signals, images and volumes.

B batch, D channels of the features, … the extents of a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from fpdm.checks import check_extents, check_whole
from fpdm.errors import InvalidValueError
from fpdm.interfaces import FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.layer import ACROSS_TIMESTEPS
from fpdm.models.bound import Bound
from fpdm.models.parted import FixedPointNetwork
from fpdm.plugins import Spec

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
GROUPS = 8


def convolution(dimensions: int, inputs: int, outputs: int, **options: Any) -> nn.Module:
    """A convolution of three by three by …, that keeps the extents.

    Args:
        dimensions: 1 of signals, 2 of images, 3 of volumes.
        inputs: channels that come in.
        outputs: channels that go out.
        options: of the class in torch, such as `stride`.
    """
    return CONVOLUTIONS[dimensions](inputs, outputs, 3, padding=1, **options)


def normalisation(channels: int) -> nn.GroupNorm:
    """A norm over groups of channels: 8 of them, or fewer where they do not divide the channels.

    Args:
        channels: D.
    """
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


class Told(nn.Module):
    """What `cond` says to a layer: a scale and a shift of each channel; (B, W) → two of (B, D, …).

    Args:
        width: of `cond`, W.
        channels: D.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, cond: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Say it.

        Args:
            cond: (B, W).
            like: that it is said to, (B, D, …).

        Returns:
            What to multiply with, and what to add then, each (B, D, 1, …).
        """
        said = self.linear(cond)
        shaped = said.view(*said.shape, *[1] * (like.dim() - 2))
        scale, shift = shaped.chunk(2, dim=1)
        return 1 + scale, shift


class Residual(nn.Module):
    """Two convolutions beside a path straight on; (B, D, …) → (B, D', …).

    Source: He et al., Identity mappings in deep residual networks, 2016; told as in Dhariwal and
    Nichol, Diffusion models beat GANs on image synthesis, 2021.

    Args:
        dimensions: of a sample.
        inputs: D.
        outputs: D'.
        width: of `cond`.
    """

    def __init__(self, dimensions: int, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = normalisation(inputs), normalisation(outputs)
        self.conv1 = convolution(dimensions, inputs, outputs)
        self.conv2 = convolution(dimensions, outputs, outputs)
        self.told = Told(width, outputs)
        same = inputs == outputs
        self.straight = nn.Identity() if same else CONVOLUTIONS[dimensions](inputs, outputs, 1)
        _start_at_zero(self.conv2)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """Run it; (B, D, …) → (B, D', …).

        Args:
            x: (B, D, …).
            cond: what it is told, (B, W).
        """
        hidden = self.norm2(self.conv1(F.silu(self.norm1(x))))
        scale, shift = self.told(cond, hidden)
        return cast("Tensor", self.straight(x) + self.conv2(F.silu(hidden * scale + shift)))


class Down(nn.Module):
    """A sample to features of a coarser grid; (B, C, …) → (B, D, …), and what goes around.

    Args:
        dimensions: of a sample.
        channels: C.
        widths: channels at each resolution, the finest first; D is the last.
        width: of `cond`.
    """

    def __init__(self, dimensions: int, channels: int, widths: list[int], width: int) -> None:
        super().__init__()
        self.stem = convolution(dimensions, channels, widths[0])
        self.blocks = nn.ModuleList(Residual(dimensions, w, w, width) for w in widths[:-1])
        self.halve = nn.ModuleList(
            convolution(dimensions, fine, coarse, stride=2) for fine, coarse in pairwise(widths)
        )

    def forward(self, x: Tensor, cond: Tensor) -> tuple[Tensor, ...]:
        """Go down.

        Args:
            x: noisy samples, (B, C, …).
            cond: what they are told, (B, W).

        Returns:
            The features, (B, D, …), and the last of each finer grid, the coarsest first, each
            (B, D', …).
        """
        x, around = self.stem(x), []
        for block, halve in zip(self.blocks, self.halve, strict=True):
            x = block(x, cond)
            around.append(x)
            x = halve(x)
        return x, *reversed(around)


class Middle(nn.Module):
    """`f(z) = norm(h + W2 silu(scale norm(W1 z + Wh h) + shift))`, of convolutions.

    There is no path straight from z to f(z), and what comes out is normalised: it settles.

    Args:
        dimensions: of a sample.
        channels: D.
        width: of `cond`.
    """

    def __init__(self, dimensions: int, channels: int, width: int) -> None:
        super().__init__()
        hidden = 2 * channels
        self.injection = convolution(dimensions, channels, hidden)
        self.inner = convolution(dimensions, channels, hidden, bias=False)  # W1
        self.outer = convolution(dimensions, hidden, channels)  # W2
        self.norm1, self.norm2 = normalisation(hidden), normalisation(channels)
        self.told = Told(width, hidden)

    def bind(self, features: Tensor, cond: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `f` of one timestep.

        Args:
            features: h, (B, D, …).
            cond: what they are told, (B, W).
        """
        constant = self.injection(features)
        return Bound(self._iterate, features, constant, *self.told(cond, constant))

    def _iterate(
        self, z: Tensor, features: Tensor, constant: Tensor, scale: Tensor, shift: Tensor
    ) -> Tensor:
        hidden = torch.addcmul(shift, self.norm1(self.inner(z) + constant), scale)
        return cast("Tensor", self.norm2(features + self.outer(F.silu(hidden))))


class Up(nn.Module):
    """The solution to a prediction; (B, D, …) → (B, C, …).

    Args:
        dimensions: of a sample.
        channels: C.
        widths: as of `Down`.
        width: of `cond`.
    """

    def __init__(self, dimensions: int, channels: int, widths: list[int], width: int) -> None:
        super().__init__()
        pairs = [*pairwise(widths)][::-1]
        narrow = CONVOLUTIONS[dimensions]
        self.narrow = nn.ModuleList(narrow(coarse, fine, 1) for fine, coarse in pairs)
        self.blocks = nn.ModuleList(Residual(dimensions, fine, fine, width) for fine, _ in pairs)
        self.norm = normalisation(widths[0])
        self.last = convolution(dimensions, widths[0], channels)
        _start_at_zero(self.last)

    def forward(self, z: Tensor, cond: Tensor, *around: Tensor) -> Tensor:
        """Go up; (B, D, …) → (B, C, …).

        Args:
            z: (B, D, …).
            cond: what they are told, (B, W).
            around: of each finer grid, the coarsest first, (B, D', …).
        """
        for narrow, block, beside in zip(self.narrow, self.blocks, around, strict=True):
            finer = F.interpolate(narrow(z), size=beside.shape[2:], mode="nearest")
            z = block(beside + finer, cond)
        return cast("Tensor", self.last(F.silu(self.norm(z))))


class FPUNet(FixedPointNetwork):
    """A U-Net whose middle is a fixed point: for signals, images and volumes.

    A residual block at each resolution on the way down and up, from one to the other of which the
    features go across; at the coarsest, two convolutions that are iterated. An iteration costs
    about as much as the way down from one resolution to the next, or up, each of which counts as
    one pass. Source: Ronneberger, Fischer and Brox, U-Net, 2015; Bai and Melas-Kyriazi, Fixed Point
    Diffusion Models, CVPR 2024.

    Args:
        sample_size: of a sample beside its channels: `(L,)` of signals, `(H, W)` of images,
            `(D, H, W)` of volumes; a number of a square image.
        in_channels: channels of a sample.
        num_classes: classes, without the null class; 0 for none.
        condition_size: in place of classes, K of a vector that the network is told, or `(T, K)` of
            a sequence of tokens; None is none.
        has_null_class: whether it is also told that it is none of them, which guidance needs.
        width: channels at the finest resolution; they double with each halving.
        halvings: from the finest resolution to that of the middle; each extent must be divided.
        solver: what iterates outside training by default: a name, a mapping with options, or an
            object.
        init: where solves start by default; likewise.
        gradient: how training differentiates; likewise.
        evals: iterations at a timestep where a call does not say.
        training_solver: what the gradient estimator iterates with; likewise.

    Raises:
        InvalidValueError: a size is not allowed, or two do not fit together.
        UnknownNameError: no component has such a name.

    Examples:
        >>> import torch, fpdm
        >>> model = fpdm.network("fpunet", sample_size=8, in_channels=1, width=16).eval()
        >>> model(torch.randn(5, 1, 8, 8), timestep=500, evals=3).sample.shape
        torch.Size([5, 1, 8, 8])
    """

    name: ClassVar[str] = "fpunet"
    _least: ClassVar[dict[str, int]] = {"width": 1, "halvings": 0, "evals": 1}

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        sample_size: int | tuple[int, ...] = 32,
        in_channels: int = 4,
        num_classes: int = 0,  # noqa: ARG002 (this and the next two, from the config)
        condition_size: int | tuple[int, ...] | None = None,  # noqa: ARG002
        has_null_class: bool = True,  # noqa: ARG002
        width: int = 64,
        halvings: int = 1,
        solver: Spec | FixedPointSolver = ACROSS_TIMESTEPS,
        init: Spec | InitStrategy = "features",
        gradient: Spec | GradientEstimator = "sjfb",
        evals: int = 12,
        training_solver: Spec | FixedPointSolver = "naive",
    ) -> None:
        channels = check_whole("in_channels", in_channels, minimum=1)
        first = check_whole("width", width, minimum=1)
        widths = [first * 2**i for i in range(check_whole("halvings", halvings, minimum=0) + 1)]
        dimensions = _dimensions(sample_size, halvings)
        told = 4 * first
        super().__init__(
            Down(dimensions, channels, widths, told),
            Middle(dimensions, widths[-1], told),
            Up(dimensions, channels, widths, told),
            width=told,
            solver=solver,
            init=init,
            gradient=gradient,
            evals=evals,
            training_solver=training_solver,
        )

    @property
    def pre_passes(self) -> int:
        """Passes on the way down, one for each halving."""
        return cast("int", self.config["halvings"])

    @property
    def post_passes(self) -> int:
        """Passes on the way up, likewise."""
        return cast("int", self.config["halvings"])


def _dimensions(sample_size: object, halvings: int) -> int:
    extents = check_extents("sample_size", sample_size)
    if len(extents) not in CONVOLUTIONS:
        raise InvalidValueError(
            f"sample_size={sample_size!r}: samples of {len(extents)} dimensions, and a U-Net draws "
            f"those of 1, 2 or 3; for points there is 'mlp'."
        )
    if any(extent % 2**halvings for extent in extents):
        raise InvalidValueError(
            f"halvings={halvings}: 2^{halvings} must divide sample_size={sample_size!r}."
        )
    return len(extents)


def _start_at_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
