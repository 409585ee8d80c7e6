"""What a run costs: block passes and multiply-adds, counted from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import field, frozen
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
    passes = blocks.count or sum(step.passes for step in made.steps)
    return Cost(passes, counter.get_total_flops() // 2 // samples)


@frozen
class Blocks:
    """How often blocks were entered.

    Attributes:
        calls: the name of the block, for each time.
    """

    calls: list[str] = field(factory=list)

    @property
    def count(self) -> int:
        """How often, in all."""
        return len(self.calls)


@contextmanager
def counted(network: nn.Module) -> Iterator[Blocks]:
    """Count how often the blocks of an explicit network compute, while the context lasts.

    A block that a cache passes over does not: what is counted is its attention.

    Args:
        network: whose `blocks` are watched; of one that has none, nothing is counted.

    Yields:
        The count, which grows.
    """
    found = Blocks()
    handles = [
        inner.register_forward_hook(lambda *_, name=name: found.calls.append(name))
        for name, inner in _explicit_blocks(network)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _explicit_blocks(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The attention of each block of a network without a fixed point."""
    if getattr(network, "layer", None) is not None:
        return []
    return [
        (name, module)
        for name, module in network.named_modules()
        if name.rsplit(".", 1)[-1] == "attn" and "blocks." in name
    ]
