"""A small network for points and tables, and for whatever is flattened to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, cast

from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from fpdm.checks import check_extents, check_whole
from fpdm.interfaces import FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.layer import ACROSS_TIMESTEPS
from fpdm.models.bound import Bound
from fpdm.models.parted import FixedPointNetwork
from fpdm.plugins import Spec


class Pre(nn.Module):
    """A sample to features; (B, C, …) → (B, D).

    Args:
        numbers: in a sample.
        width: D.
    """

    def __init__(self, numbers: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(numbers, width), nn.Linear(width, width)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """Flatten, and go through two layers; (B, C, …) → (B, D).

        Args:
            x: noisy samples, (B, C, …).
            cond: what they are told, (B, D).
        """
        return cast("Tensor", self.second(F.silu(self.first(x.flatten(1)) + cond)))


class Iterated(nn.Module):
    """`f(z) = LayerNorm(h + W2 silu(W1 z + Wh h + Wc c))`; (B, D) → (B, D).

    There is no path straight from z to f(z), and what comes out is normalised: it settles.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.injection, self.told = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
        self.inner = nn.Linear(width, 2 * width, bias=False)  # W1
        self.outer = nn.Linear(2 * width, width)  # W2
        self.norm = nn.LayerNorm(width)

    def bind(self, features: Tensor, cond: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `f` of one timestep.

        Args:
            features: h, (B, D).
            cond: c, (B, D).
        """
        return Bound(self._iterate, features, self.injection(features) + self.told(cond))

    def _iterate(self, z: Tensor, features: Tensor, constant: Tensor) -> Tensor:
        moved = self.outer(F.silu(self.inner(z) + constant))
        return cast("Tensor", self.norm(features + moved))


class Post(nn.Module):
    """The solution to a prediction; (B, D) → (B, C, …).

    Args:
        sample: the shape of one, (C, …).
        width: D.
    """

    def __init__(self, sample: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.sample = sample
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, math.prod(sample))

    def forward(self, z: Tensor, cond: Tensor) -> Tensor:
        """Go through two layers, and unflatten; (B, D) → (B, C, …).

        Args:
            z: (B, D).
            cond: what they are told, (B, D).
        """
        return cast("Tensor", self.second(F.silu(self.first(z) + cond))).unflatten(1, self.sample)


class MLP(FixedPointNetwork):
    """A fixed-point network of linear layers: for points and tables.

    Samples of any shape are flattened; it knows nothing of what lies beside what. Source: Bai and
    Melas-Kyriazi, Fixed Point Diffusion Models, CVPR 2024 (the three parts).

    Args:
        sample_size: of a sample beside its channels: `()` of points, `(L,)`, `(H, W)`, `(D, H, W)`;
            a number of a square image.
        in_channels: coordinates of a point, columns of a table, channels of an image.
        num_classes: classes, without the null class; 0 for none.
        condition_size: in place of classes, K of a vector that the network is told, or `(T, K)` of
            a sequence of tokens; None is none.
        has_null_class: whether it is also told that it is none of them, which guidance needs.
        width: of the features, D.
        solver: what iterates outside training by default: a name, a mapping with options, or an
            object.
        init: where solves start by default; likewise.
        gradient: how training differentiates; likewise.
        evals: iterations at a timestep where a call does not say.
        training_solver: what the gradient estimator iterates with; likewise.

    Raises:
        InvalidValueError: a size is not allowed.
        UnknownNameError: no component has such a name.

    Examples:
        >>> import torch, fpdm
        >>> model = fpdm.network("mlp", in_channels=2, width=32).eval()
        >>> model(torch.randn(5, 2), timestep=500, evals=3).sample.shape
        torch.Size([5, 2])
    """

    name: ClassVar[str] = "mlp"
    _least: ClassVar[dict[str, int]] = {"width": 1, "evals": 1}

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        sample_size: int | tuple[int, ...] = (),
        in_channels: int = 2,
        num_classes: int = 0,  # noqa: ARG002 (this and what follows, from the config)
        condition_size: int | tuple[int, ...] | None = None,  # noqa: ARG002
        has_null_class: bool = True,  # noqa: ARG002
        width: int = 128,
        solver: Spec | FixedPointSolver = ACROSS_TIMESTEPS,
        init: Spec | InitStrategy = "features",
        gradient: Spec | GradientEstimator = "sjfb",
        evals: int = 12,
        training_solver: Spec | FixedPointSolver = "naive",
    ) -> None:
        channels = check_whole("in_channels", in_channels, minimum=1)
        sample = (channels, *check_extents("sample_size", sample_size))
        super().__init__(
            Pre(math.prod(sample), check_whole("width", width, minimum=1)),
            Iterated(width),
            Post(sample, width),
            width=width,
            solver=solver,
            init=init,
            gradient=gradient,
            evals=evals,
            training_solver=training_solver,
        )
