"""Image to tokens and back: the explicit layers of both transformers, and the first weights.

B batch, N tokens, D width, C channels, P patch size. Source: Peebles and Xie, Scalable diffusion
models with transformers, ICCV 2023.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

from diffusers.models.cache_utils import CacheMixin
from torch import Tensor, nn

from fpdm.models.block import Block, modulate, run_blocks
from fpdm.models.caching import cached
from fpdm.models.conditioning import Conditioning, TimestepEmbedding
from fpdm.models.mix import Mix
from fpdm.models.positions import sincos_positions
from fpdm.models.size import Size


class Encoder(CacheMixin, nn.Module):
    """Image to tokens through patches, positions and blocks: the explicit layers before.

    Args:
        size: of the transformer.
        blocks: how many, ≥ 0.
    """

    def __init__(self, size: Size, *, blocks: int) -> None:
        super().__init__()
        dim, patch = size.hidden_size, size.patch_size
        self.patches = nn.Conv2d(size.in_channels, dim, patch, stride=patch)
        self.blocks = nn.ModuleList(Block(size) for _ in range(blocks))
        self.grid, self.stored_positions = size.grid, size.stored_positions
        self.positions: Tensor
        self.register_buffer(
            "positions", sincos_positions(dim, *self.grid), persistent=size.stored_positions
        )

    def forward(self, x: Tensor, cond: Conditioning) -> Tensor:
        """Encode; (B, C, H, W) → (B, N, D), or (S B, N, D) for S conditions of each image.

        Args:
            x: images, (B, C, H, W).
            cond: of this timestep, for B images, for S B, or one for all.
        """
        sides = max(1, len(cond.explicit) // len(x))
        x = self.patches(x).flatten(2).transpose(1, 2)  # (B, N, D)
        # the sum lies in memory as its first part does, one token after the other
        x = self.positions.to(x.dtype) + x.expand(sides, *x.shape)  # (S, B, N, D)
        tokens = x.flatten(0, 1)  # (S B, N, D)
        with cached(self, samples=len(tokens)) if self.is_cache_enabled else nullcontext():
            return run_blocks(self.blocks, tokens, cond.explicit)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Load, and compute again what is not stored: it is lost on the way over `meta`."""
        super()._load_from_state_dict(state_dict, prefix, *rest)
        if not self.stored_positions:
            lost = self.positions
            near = state_dict.get(f"{prefix}patches.weight", lost) if lost.is_meta else lost
            fresh = sincos_positions(lost.shape[2], *self.grid)
            self.positions = fresh.to(near.device, lost.dtype)


class Decoder(nn.Module):
    """Tokens to image through blocks and the final layer: the explicit layers after.

    Args:
        size: of the transformer.
        blocks: how many before the final layer, ≥ 0.
    """

    def __init__(self, size: Size, *, blocks: int) -> None:
        super().__init__()
        self.patch_size, self.grid = size.patch_size, size.grid
        self.blocks = nn.ModuleList(Block(size) for _ in range(blocks))
        self.final = FinalLayer(size.hidden_size, size.patch_size, size.out_channels)

    def forward(self, z: Tensor, cond: Conditioning) -> Tensor:
        """Decode; (B, N, D) → (B, C, H, W).

        Args:
            z: tokens, (B, N, D).
            cond: of this timestep.
        """
        patches = self.final(run_blocks(self.blocks, z, cond.explicit), cond.explicit)
        size = self.patch_size
        image = patches.unflatten(1, self.grid).unflatten(3, (size, size, -1))
        # (B, row, column, P, P, C) → (B, C, row, P, column, P)
        return image.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


class FinalLayer(nn.Module):
    """Tokens to patches of the output.

    Args:
        dim: width D.
        patch_size: P.
        out_channels: C.
    """

    def __init__(self, dim: int, patch_size: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.modulation = nn.Linear(dim, 2 * dim)
        self.linear = nn.Linear(dim, patch_size**2 * out_channels)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """Project; (B, N, D), (B, D) → (B, N, P² C).

        Args:
            x: tokens, (B, N, D).
            cond: of the `Conditioning`, (B, D).
        """
        shift, scale = self.modulation(cond)[:, None].chunk(2, dim=-1)
        return cast("Tensor", self.linear(modulate(self.norm(x), shift, 1 + scale)))


def initialise(network: nn.Module) -> None:
    """Set the initial weights: Xavier linears, small embeddings, zero gates and output.

    Source: Glorot and Bengio 2010; adaLN-Zero: Peebles and Xie 2023.

    Args:
        network: its weights are written to.
    """
    _draw(network)
    for module in network.modules():
        if isinstance(module, TimestepEmbedding):
            for linear in (module.mlp[0], module.mlp[2]):
                nn.init.normal_(cast("nn.Linear", linear).weight, std=0.02)
        elif isinstance(module, (Block, FinalLayer)):
            nn.init.zeros_(module.modulation.weight)
        if isinstance(module, FinalLayer):
            nn.init.zeros_(module.linear.weight)


def _draw(module: nn.Module) -> None:
    """Draw the weights of a module and of all in it, in the order in which they stand."""
    if isinstance(module, Mix):
        module.initialise()
        return
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_uniform_(module.weight.view(module.weight.shape[0], -1))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    for part in module.children():
        _draw(part)
