"""The denoiser: explicit layers, the implicit layer, explicit layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fpdm.layer import FixedPointLayer
from fpdm.solution import Denoised


class FixedPointDenoiser(nn.Module):
    """`post(z*, cond)`, where `z*` solves the layer on `pre(x, cond)`; for any modules.

    Source: Bai and Melas-Kyriazi, Fixed Point Diffusion Models, CVPR 2024.

    Args:
        pre: `(x, cond) → features`, run once per timestep; or a tuple of the features and of what
            goes around the implicit layer to `post`, as between the halves of a U-Net.
        layer: solves for `z*`, which has the shape of the features.
        post: `(z*, cond) → prediction`, run once per timestep; what goes around comes after `cond`.

    Examples:
        >>> import torch, fpdm
        >>> from torch import nn
        >>> class Pre(nn.Linear):
        ...     def forward(self, x, cond): return super().forward(x + cond)
        >>> class Pull(nn.Module):
        ...     def bind(self, features, cond): return lambda z: 0.5 * z.cos() + features
        >>> class Post(nn.Linear):
        ...     def forward(self, z, cond): return super().forward(z)
        >>> denoiser = fpdm.FixedPointDenoiser(Pre(2, 8), fpdm.FixedPointLayer(Pull()), Post(8, 2))
        >>> denoiser(torch.randn(5, 2), torch.zeros(5, 1), evals=3).sample.shape
        torch.Size([5, 2])
    """

    def __init__(self, pre: nn.Module, layer: FixedPointLayer, post: nn.Module) -> None:
        super().__init__()
        self.pre = pre
        self.layer = layer
        self.post = post

    def forward(self, x: Tensor, cond: Any, **solving: Any) -> Denoised:
        """Denoise `x` under `cond`.

        Args:
            x: the noisy input, of any shape that `pre` takes, batch first.
            cond: handed to all three parts.
            solving: `evals`, `tol`, `history`, `moment`, `solver`, `init`, `generator` and `watch`
                of [`FixedPointLayer`][fpdm.FixedPointLayer].

        Returns:
            What `post` made, and the solution.
        """
        made = self.pre(x, cond)
        features, *around = made if isinstance(made, tuple) else (made,)
        solution = self.layer(features, cond, **solving)
        return Denoised(self.post(solution.value, cond, *around), solution, features)
