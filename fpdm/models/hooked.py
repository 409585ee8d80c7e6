"""Whether something moves the weights of a network, or casts them, where it is called."""

from __future__ import annotations

from torch import nn


def hooked(network: nn.Module) -> bool:
    """Whether there are hooks of accelerate or of diffusers in a network.

    Where there are none its weights are where they are seen, and of the dtype in which they are
    seen. diffusers asks each module several times over, which takes longer than a small network.

    Args:
        network: any module.
    """
    ahead = [network]
    while ahead:
        module = ahead.pop()
        if "_hf_hook" in vars(module) or "_diffusers_hook" in vars(module):
            return True
        ahead += module.children()
    return False
