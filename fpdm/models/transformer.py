"""The parts from which both transformers are built.

B batch, N tokens, D width, C channels, P patch size. Source: Peebles and Xie, Scalable diffusion
models with transformers, ICCV 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from attrs import field, fields, frozen
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from fpdm.checks import flag, real, whole
from fpdm.errors import InvalidValueError

FREQUENCIES = 256
MAX_PERIOD = 10_000


@frozen
class Size:
    """The sizes of a transformer over the patches of a square image.

    Attributes:
        sample_size: height and width of the image.
        patch_size: P; divides `sample_size`.
        in_channels: channels of the image.
        hidden_size: D; a multiple of 4, for the positions, and of `num_heads`.
        num_heads: attention heads.
        num_classes: classes, without the null class.
        mlp_ratio: hidden width of a block's MLP, relative to D.
        learn_sigma: whether the prediction has as many channels again, for the variance.
        has_null_class: whether a label after the others stands for no class.
        stored_positions: whether positions are saved with the weights, or are the sines and
            cosines that can be computed.

    Raises:
        InvalidValueError: a size is not allowed, or two do not fit together.
    """

    sample_size: int = field(validator=whole(minimum=1))
    patch_size: int = field(validator=whole(minimum=1))
    in_channels: int = field(validator=whole(minimum=1))
    hidden_size: int = field(validator=whole(minimum=4))
    num_heads: int = field(validator=whole(minimum=1))
    num_classes: int = field(validator=whole(minimum=0))
    mlp_ratio: float = field(validator=real(above=0))
    learn_sigma: bool = field(validator=flag)
    has_null_class: bool = field(validator=flag)
    stored_positions: bool = field(validator=flag)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Size:
        """Pick the sizes out of a network's configuration.

        Args:
            config: as it was saved; what is no size is passed over.

        Returns:
            The sizes, checked.
        """
        return cls(**{size.name: config[size.name] for size in fields(cls)})

    def __attrs_post_init__(self) -> None:
        for part, total in (("patch_size", "sample_size"), ("num_heads", "hidden_size")):
            if getattr(self, total) % getattr(self, part):
                raise InvalidValueError(
                    f"{part}={getattr(self, part)} must divide {total}={getattr(self, total)}."
                )
        if self.hidden_size % 4:
            raise InvalidValueError(f"hidden_size={self.hidden_size}: must be a multiple of 4.")
        if not self.num_classes + self.has_null_class:
            raise InvalidValueError(
                "num_classes=0 and has_null_class=false: there would be no label at all."
            )

    @property
    def out_channels(self) -> int:
        """Channels of the prediction."""
        return self.in_channels * (2 if self.learn_sigma else 1)


class Modulation(NamedTuple):
    """What the conditioning says to one block; each (B, 1, D).

    Attributes:
        shift1: added to it then.
        scale1: what the norm before attention is multiplied by, less 1.
        gate1: what attention adds is multiplied by this.
        shift2: added to it then.
        scale2: what the norm before the MLP is multiplied by, less 1.
        gate2: what the MLP adds is multiplied by this.
    """

    shift1: Tensor
    scale1: Tensor
    gate1: Tensor
    shift2: Tensor
    scale2: Tensor
    gate2: Tensor


class Conditioning(NamedTuple):
    """The conditioning vectors of one timestep; each (B, D).

    Attributes:
        full: timestep plus class.
        explicit: what the explicit layers see: the same, or the class alone.
    """

    full: Tensor
    explicit: Tensor


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return `x * (1 + scale) + shift`.

    Args:
        x: (B, N, D).
        shift: (B, 1, D).
        scale: (B, 1, D).

    Returns:
        (B, N, D).
    """
    return torch.addcmul(shift, x, 1 + scale)


class Attention(nn.Module):
    """Multi-head self-attention with a biased joint projection to query, key and value.

    Source: Vaswani et al., Attention is all you need, 2017.

    Args:
        dim: width D.
        num_heads: how many heads; divides D.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, projected: Tensor) -> Tensor:
        """Attend, given what `qkv` has made of the tokens; (B, N, 3 D) → (B, N, D).

        Args:
            projected: query, key and value side by side, (B, N, 3 D).
        """
        qkv = projected.unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, heads, D / heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return cast("Tensor", self.proj(mixed.transpose(1, 2).flatten(2)))


class Checkpointed(nn.Module):
    """A module that diffusers' `enable_gradient_checkpointing` can switch to recomputation.

    It then keeps the inputs of its `run` for the backward pass, and computes the rest again.
    Source: Chen et al., Training deep nets with sublinear memory cost, 2016.

    Attributes:
        lean: whether, in training, what is cheap between two products of matrices is computed again
            even if not so switched.
    """

    gradient_checkpointing = False
    lean = False
    _gradient_checkpointing_func: Callable[..., Tensor]

    def recompute(self, run: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """Call `run`, and keep nothing but its inputs if so switched.

        Args:
            run: what computes; a tensor comes out.
            inputs: of it.

        Returns:
            What `run` returns, of its shape.
        """
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(run, *inputs)
        return run(*inputs)

    def cheaply(self, run: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Call `run`, whose last operation is a linear layer; if `lean`, keep only its inputs.

        In the backward pass `run` is then computed again up to the input of the linear layer: the
        recomputation stops when all that was not kept is there, before the product is taken. A
        compiler decides for itself what it computes again.

        Args:
            run: what computes; a tensor comes out.
            inputs: of it, of any shapes.

        Returns:
            What `run` returns, of its shape.
        """
        again = self.lean and self.training and torch.is_grad_enabled()
        if again and not self.gradient_checkpointing and not torch.compiler.is_compiling():
            return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)
        return run(*inputs)


class Block(Checkpointed):
    """A transformer block with adaLN-Zero conditioning. Source: Peebles and Xie, ICCV 2023.

    Args:
        size: of the transformer.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        dim, hidden = size.hidden_size, round(size.hidden_size * size.mlp_ratio)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(dim, size.num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, dim)
        )
        self.modulation = nn.Linear(dim, 6 * dim)

    def modulate(self, cond: Tensor) -> Modulation:
        """What `cond`, (B, D), says to this block; it does not depend on the block's input.

        Args:
            cond: (B, D).
        """
        return Modulation(*self.modulation(F.silu(cond))[:, None].chunk(6, dim=-1))

    def forward(self, x: Tensor, by: Modulation) -> Tensor:
        """Run the block; (B, N, D) → (B, N, D).

        Args:
            x: tokens, (B, N, D).
            by: what the conditioning says.
        """
        return self.recompute(self.run, x, by)

    def run(self, x: Tensor, by: Modulation) -> Tensor:
        """Run the block, keeping all that its gradient needs; (B, N, D) → (B, N, D).

        Args:
            x: tokens, (B, N, D).
            by: what the conditioning says.
        """
        projected = self.cheaply(self._to_attention, x, by.shift1, by.scale1)
        x = torch.addcmul(x, by.gate1, self.attn(projected))
        hidden = self.cheaply(self._to_hidden, x, by.shift2, by.scale2)
        return torch.addcmul(x, by.gate2, self.cheaply(self._from_hidden, hidden))

    def _to_attention(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return cast("Tensor", self.attn.qkv(modulate(self.norm1(x), shift, scale)))

    def _to_hidden(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return cast("Tensor", self.mlp[0](modulate(self.norm2(x), shift, scale)))

    def _from_hidden(self, hidden: Tensor) -> Tensor:
        return cast("Tensor", self.mlp[2](self.mlp[1](hidden)))


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
            cond: (B, D).
        """
        shift, scale = self.modulation(F.silu(cond))[:, None].chunk(2, dim=-1)
        return cast("Tensor", self.linear(modulate(self.norm(x), shift, scale)))


class TimestepEmbedding(nn.Module):
    """Sinusoids of the timestep, `[cos, sin]`, through a small network.

    128 frequencies, from 1 down to almost 1/10000. Source: Vaswani et al. 2017; Peebles and Xie
    2023.

    Args:
        dim: width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, timestep: Tensor) -> Tensor:
        """Embed; (B,) → (B, D).

        Args:
            timestep: from 0 to 1000, (B,).
        """
        half = FREQUENCIES // 2
        # a timestep near 1000 costs float32 four digits of the angle; MPS has nothing wider
        wide = torch.float32 if timestep.device.type == "mps" else torch.float64
        exponent = torch.arange(half, dtype=wide, device=timestep.device) / half
        angle = timestep[:, None].to(wide) * torch.exp(-math.log(MAX_PERIOD) * exponent)
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
        return cast("Tensor", self.mlp(waves.to(cast("nn.Linear", self.mlp[0]).weight.dtype)))


def sincos_positions(dim: int, grid: int) -> Tensor:
    """The position embeddings of a square grid of tokens in row-major order; (1, grid², dim).

    The column fills the first half of the channels, the row the second; each half is `[sin, cos]`.
    Source: Vaswani et al. 2017, in two dimensions as Chen, Xie and He 2021 have them.

    Args:
        dim: width D, a multiple of 4.
        grid: tokens in a row, and in a column.
    """
    omega = MAX_PERIOD ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    angle = torch.arange(grid, dtype=torch.float64)[:, None] * omega  # (grid, dim / 4)
    axis = torch.cat([angle.sin(), angle.cos()], dim=1)  # (grid, dim / 2)
    columns = axis[None, :, :].expand(grid, -1, -1)
    rows = axis[:, None, :].expand(-1, grid, -1)
    return torch.cat([columns, rows], dim=2).reshape(1, grid * grid, dim).float()


class Embeddings(nn.Module):
    """Timestep and class to conditioning vectors.

    The null class, for guidance, comes after the others if there is one.

    Args:
        size: of the transformer.
        timestep_in_explicit: whether the explicit layers see the timestep.
    """

    def __init__(self, size: Size, *, timestep_in_explicit: bool) -> None:
        super().__init__()
        self.timestep = TimestepEmbedding(size.hidden_size)
        self.label = nn.Embedding(size.num_classes + size.has_null_class, size.hidden_size)
        self.timestep_in_explicit = timestep_in_explicit

    def forward(self, timestep: Tensor, class_labels: Tensor) -> Conditioning:
        """Embed; (B,), (B,) → two of (B, D).

        Args:
            timestep: from 0 to 1000, (B,).
            class_labels: (B,), int64.
        """
        label = self.label(class_labels)
        full = self.timestep(timestep) + label
        return Conditioning(full, full if self.timestep_in_explicit else label)


class Encoder(nn.Module):
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
        self.positions: Tensor
        self.register_buffer(
            "positions",
            sincos_positions(dim, size.sample_size // patch),
            persistent=size.stored_positions,
        )

    def forward(self, x: Tensor, cond: Conditioning) -> Tensor:
        """Encode; (B, C, H, W) → (B, N, D).

        Args:
            x: images, (B, C, H, W).
            cond: of this timestep.
        """
        x = self.patches(x).flatten(2).transpose(1, 2)  # (B, N, D)
        return run_blocks(self.blocks, x + self.positions.to(x.dtype), cond.explicit)


class Decoder(nn.Module):
    """Tokens to image through blocks and the final layer: the explicit layers after.

    Args:
        size: of the transformer.
        blocks: how many before the final layer, ≥ 0.
    """

    def __init__(self, size: Size, *, blocks: int) -> None:
        super().__init__()
        self.patch_size = size.patch_size
        self.blocks = nn.ModuleList(Block(size) for _ in range(blocks))
        self.final = FinalLayer(size.hidden_size, size.patch_size, size.out_channels)

    def forward(self, z: Tensor, cond: Conditioning) -> Tensor:
        """Decode; (B, N, D) → (B, C, H, W).

        Args:
            z: tokens, (B, N, D).
            cond: of this timestep.
        """
        patches = self.final(run_blocks(self.blocks, z, cond.explicit), cond.explicit)
        grid = math.isqrt(patches.shape[1])
        size = self.patch_size
        image = patches.unflatten(1, (grid, grid)).unflatten(3, (size, size, -1))
        # (B, row, column, P, P, C) → (B, C, row, P, column, P)
        return image.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def run_blocks(blocks: nn.ModuleList, x: Tensor, cond: Tensor) -> Tensor:
    """Run `blocks` one after the other; (B, N, D) → (B, N, D).

    Args:
        blocks: each a [`Block`][fpdm.models.transformer.Block].
        x: tokens, (B, N, D).
        cond: what they are conditioned on, (B, D).
    """
    for block in blocks:
        x = block(x, cast("Block", block).modulate(cond))
    return x


def initialise(network: nn.Module) -> None:
    """Set the initial weights: Xavier linears, small embeddings, zero gates and output.

    Source: Glorot and Bengio 2010; adaLN-Zero: Peebles and Xie 2023.

    Args:
        network: its weights are written to.
    """
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight.view(module.weight.shape[0], -1))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
    for module in network.modules():
        if isinstance(module, TimestepEmbedding):
            for linear in (module.mlp[0], module.mlp[2]):
                nn.init.normal_(cast("nn.Linear", linear).weight, std=0.02)
        elif isinstance(module, (Block, FinalLayer)):
            nn.init.zeros_(module.modulation.weight)
        if isinstance(module, FinalLayer):
            nn.init.zeros_(module.linear.weight)
