"""An implicit transformer out of a trained explicit one, whose blocks it takes over.

The fixed-point block is `f(z) = B(W2 gelu(W1 [z, p] + b1) + b2, c)` with `p = inj(h)`. Since
`gelu(x) - gelu(-x) = x`, also in its approximation by tanh, the layers before the block B can be
made linear exactly: with `inj(h) = h`, `b1 = b2 = 0` and

    W1 = [[a, 1 - a], [-a, -(1 - a)]] ⊗ I,    W2 = [I, -I]

what enters the block is `a z + (1 - a) h`. At z = h it is h, so that the first evaluation is the
explicit block applied to the features, whatever a is. With `B(x) = x + g` and g about constant, the
fixed point is `h + g / (1 - a)`: as M blocks one after the other, if a = 1 - 1/M.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from fpdm.errors import InvalidValueError
from fpdm.models.fpdit import FPDiT

ENCODER, DECODER = "encoder.", "decoder."
PRE, POST, BLOCK = "denoiser.pre.", "denoiser.post.", "denoiser.layer.block."
_BLOCK = re.compile(r"encoder\.blocks\.(\d+)\.(.+)")


def implicit_from_explicit(state: Mapping[str, Tensor], network: FPDiT) -> dict[str, Tensor]:
    """The weights of an [`FPDiT`][fpdm.FPDiT], taken from a [`DiT`][fpdm.DiT].

    Embeddings, patches and the final layer are those of the DiT. Its first blocks become those
    before the implicit layer, and its last those after; of those between the middle one is
    iterated. The layers that mix the iterate with the features are begun such that the first
    evaluation at the features is that block's, and that the fixed point is about where all blocks
    between would have come.

    Args:
        state: of the DiT, by name; of the same width, patches and channels. It is left as it is.
        network: whose weights are to be made; it is left as it is.

    Returns:
        Tensors for its `load_state_dict`, of the dtypes in `state`.

    Raises:
        InvalidValueError: the DiT has too few blocks, or the explicit layers of the network do not
            see the timestep, as all blocks of a DiT do.

    Examples:
        >>> import fpdm
        >>> from fpdm.models import implicit_from_explicit
        >>> sizes = dict(sample_size=8, in_channels=1, hidden_size=32, num_heads=4, num_classes=10)
        >>> explicit, implicit = fpdm.DiT(depth=4, **sizes), fpdm.FPDiT(**sizes)
        >>> state = implicit_from_explicit(explicit.state_dict(), implicit)
        >>> implicit.load_state_dict(state)
        <All keys matched successfully>
    """
    pre, post = network.pre_passes, network.post_passes
    depth = 1 + max((int(found[1]) for found in map(_BLOCK.match, state) if found), default=-1)
    if depth <= pre + post:
        raise InvalidValueError(
            f"pre_depth={pre}, post_depth={post}: a DiT of depth {depth} has no block left to be "
            f"iterated; needs at least {pre + post + 1}."
        )
    if not network.config["condition_pre_post_on_timestep"]:
        raise InvalidValueError(
            "condition_pre_post_on_timestep=false: the blocks of a DiT see the timestep; use true."
        )
    between = depth - pre - post
    places = {
        **{index: f"{PRE}blocks.{index}." for index in range(pre)},
        pre + (between - 1) // 2: f"{BLOCK}block.",
        **{depth - post + index: f"{POST}blocks.{index}." for index in range(post)},
    }
    taken = dict(_taken(state, places))
    width = network.config["hidden_size"]
    like = next(value for name, value in taken.items() if name.endswith("patches.weight"))
    return taken | {
        f"{BLOCK}{name}": value.to(like)
        for name, value in mixing(width, share=1 - 1 / between).items()
    }


def mixing(width: int, *, share: float) -> dict[str, Tensor]:
    """Weights with which what enters the iterated block is `share · z + (1 - share) · h`.

    Args:
        width: D.
        share: of the iterate z; the rest is of the features h.

    Returns:
        The weights of a [`FixedPointBlock`][fpdm.models.FixedPointBlock] before its block, by name.
    """
    one = torch.eye(width)
    both = torch.cat([one, -one])  # gelu(x) - gelu(-x) = x
    return {
        "injection.weight": one,
        "injection.bias": torch.zeros(width),
        "mix.state.weight": share * both,
        "mix.injection.weight": (1 - share) * both,
        "mix.injection.bias": torch.zeros(2 * width),
        "narrow.weight": both.t().contiguous(),
        "narrow.bias": torch.zeros(width),
    }


def _taken(state: Mapping[str, Tensor], places: Mapping[int, str]) -> Iterator[tuple[str, Tensor]]:
    """What is taken over, under its new names; blocks that have no place are left out."""
    for name, value in state.items():
        if found := _BLOCK.match(name):
            if place := places.get(int(found[1])):
                yield f"{place}{found[2]}", value
        elif name.startswith(ENCODER):
            yield f"{PRE}{name.removeprefix(ENCODER)}", value
        elif name.startswith(DECODER):
            yield f"{POST}{name.removeprefix(DECODER)}", value
        else:
            yield name, value
