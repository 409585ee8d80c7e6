"""A transformer block with adaLN-Zero conditioning.

B batch, N tokens, D width. Source: Peebles and Xie, Scalable diffusion models with transformers,
ICCV 2023.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from fpdm.models.recomputation import Checkpointed
from fpdm.models.size import Size


class Modulation(NamedTuple):
    """What the conditioning says to one block; each (B, 1, D).

    Attributes:
        shift1: added to it then.
        scale1: what the norm before attention is multiplied by.
        gate1: what attention adds is multiplied by this.
        shift2: added to it then.
        scale2: what the norm before the MLP is multiplied by.
        gate2: what the MLP adds is multiplied by this.
    """

    shift1: Tensor
    scale1: Tensor
    gate1: Tensor
    shift2: Tensor
    scale2: Tensor
    gate2: Tensor


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return `x * scale + shift`.

    Args:
        x: (B, N, D).
        shift: (B, 1, D).
        scale: (B, 1, D).

    Returns:
        (B, N, D).
    """
    return torch.addcmul(shift, x, scale)


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
        mixed = attend(query, key, value)
        return cast("Tensor", self.proj(mixed.transpose(1, 2).flatten(2)))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend, each head for itself.

    Args:
        query: (B, heads, N, D / heads).
        key: (B, heads, N, D / heads).
        value: (B, heads, N, D / heads).

    Returns:
        (B, heads, N, D / heads).
    """
    with nullcontext() if _is_fused(query) else sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(query, key, value)


def _is_fused(query: Tensor) -> bool:
    """Whether a fused kernel can be used.

    None has a derivative in forward mode, and that of the CPU has no rule for batches of batches.
    """
    if torch.compiler.is_compiling():
        return True
    if forward_ad.unpack_dual(query).tangent is not None:
        return False
    return query.device.type != "cpu" or not torch._C._are_functorch_transforms_active()


class MLP(nn.Sequential):
    """Two linear layers with a tanh-GELU between them.

    Args:
        dim: width D.
        hidden: width H between the two.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        gelu = nn.GELU(approximate="tanh")
        super().__init__(nn.Linear(dim, hidden), gelu, nn.Linear(hidden, dim))

    def forward(self, hidden: Tensor) -> Tensor:
        """Go on from what the first layer has made of the tokens; (B, N, H) → (B, N, D).

        Args:
            hidden: (B, N, H).
        """
        return cast("Tensor", self[2](self[1](hidden)))


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
        self.mlp = MLP(dim, hidden)
        self.modulation = nn.Linear(dim, 6 * dim)

    def modulate(self, cond: Tensor) -> Modulation:
        """What `cond`, (B, D), says to this block; it does not depend on the block's input.

        Args:
            cond: of the `Conditioning`, (B, D).
        """
        said = self.modulation(cond).unflatten(-1, (6, -1))  # (B, 6, D)
        # the weights say by how much a scale is off from 1
        scale1, scale2 = (1 + said[:, 1::3]).split(1, dim=1)
        shift1, _, gate1, shift2, _, gate2 = said.split(1, dim=1)
        return Modulation(shift1, scale1, gate1, shift2, scale2, gate2)

    def forward(
        self, hidden_states: Tensor, by: Modulation | Tensor, *, inside: bool = False
    ) -> Tensor:
        """Run the block; (B, N, D) → (B, N, D).

        Args:
            hidden_states: tokens, (B, N, D), by the name under which hooks of diffusers look.
            by: what the conditioning says to this block, or the conditioning itself, (B, D).
            inside: whether it runs inside of what is computed again as a whole, if so switched:
                that has nothing to keep inside.
        """
        said = self.modulate(by) if isinstance(by, Tensor) else by
        if inside:
            return self.run(hidden_states, said)
        return self.recompute(self.run, hidden_states, said)

    def run(self, x: Tensor, by: Modulation) -> Tensor:
        """Run the block, keeping all that its gradient needs; (B, N, D) → (B, N, D).

        Args:
            x: tokens, (B, N, D).
            by: what the conditioning says.
        """
        projected = self.cheaply(self._to_attention, x, by.shift1, by.scale1)
        x = torch.addcmul(x, by.gate1, self.attn(projected))
        hidden = self.cheaply(self._to_hidden, x, by.shift2, by.scale2)
        return torch.addcmul(x, by.gate2, self.cheaply(self.mlp, hidden))

    def _to_attention(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return cast("Tensor", self.attn.qkv(modulate(self.norm1(x), shift, scale)))

    def _to_hidden(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return cast("Tensor", self.mlp[0](modulate(self.norm2(x), shift, scale)))


def run_blocks(blocks: nn.ModuleList, x: Tensor, cond: Tensor) -> Tensor:
    """Run `blocks` one after the other; (B, N, D) → (B, N, D).

    Args:
        blocks: each a [`Block`][fpdm.models.Block].
        x: tokens, (B, N, D).
        cond: what they are conditioned on, (B, D).
    """
    for block in blocks:
        x = block(x, cond)
    return x
