"""What a run costs: block passes and multiply-adds, counted from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from torch import nn


@frozen
class Cost:
    """What one sample costs.

    Attributes:
        passes: of blocks, or of what stands for one.
        multiply_adds: of matrix products, convolutions and attention.
    """

    passes: int
    multiply_adds: int


def cost_of(draw: Callable[[], Any], network: nn.Module, *, samples: int = 1) -> Cost:
    """Count what a run costs, by running it.

    Multiply-adds are half of what PyTorch counts as floating point operations; sums, norms and
    activations are not among them.

    Args:
        draw: the run, which returns what has the `steps` of the run.
        network: that it calls.
        samples: that it draws.

    Returns:
        The cost of one sample.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, counted(network) as blocks:
        made = draw()
    passes = len(blocks) or sum(step.passes for step in made.steps)
    return Cost(passes, counter.get_total_flops() // 2 // samples)


@contextmanager
def counted(network: nn.Module) -> Iterator[list[nn.Module]]:
    """Note how often the blocks of an explicit network compute, while the context lasts.

    A block that a cache passes over does not: what is counted is its attention.

    Args:
        network: whose `blocks` are watched; of one that has none, nothing is noted.

    Yields:
        What has computed, once for each time; it grows.
    """
    found: list[nn.Module] = []
    handles = [
        inner.register_forward_hook(lambda module, *_: found.append(module))
        for inner in _explicit_blocks(network)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _explicit_blocks(network: nn.Module) -> list[nn.Module]:
    """The attention of each block of a network without a fixed point."""
    if getattr(network, "layer", None) is not None:
        return []
    return [
        module
        for name, module in network.named_modules()
        if name.rsplit(".", 1)[-1] == "attn" and "blocks." in name
    ]
