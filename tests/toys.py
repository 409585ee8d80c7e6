"""Small networks for tests."""

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import fpdm
from fpdm.models.block import Block
from fpdm.models.conditioning import Conditioning


def tiny(**options) -> fpdm.FPDiT:
    sizes = {"sample_size": 4, "in_channels": 1, "hidden_size": 8, "num_heads": 2, "num_classes": 3}
    return lively(fpdm.FPDiT(**(sizes | options)))


def tiny_dit(**options) -> fpdm.DiT:
    sizes = {"sample_size": 4, "in_channels": 1, "hidden_size": 8, "num_heads": 2, "num_classes": 3}
    return lively(fpdm.DiT(**(sizes | options)))


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights everywhere: a new network predicts zero, and would hide what it does."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    return model.eval()


def stiff_block(*, seed: int, samples: int = 8, gain: float = 1.6):
    """A fixed-point block whose transformer weights are 1.6 times Xavier's, and where to start.

    After 40 evaluations plain iteration has come to a relative residual of about 2e-3 in the
    median sample; the maps of some are chaotic.
    """
    torch.manual_seed(seed)
    model = fpdm.FPDiT(
        sample_size=8, patch_size=2, in_channels=1, hidden_size=64, num_heads=4, num_classes=10
    )
    block = model.layer.block.requires_grad_(False)
    for linear in (module for module in block.block.modules() if isinstance(module, nn.Linear)):
        nn.init.xavier_uniform_(linear.weight, gain=gain)
    nn.init.normal_(block.block.modulation.weight, std=0.1)
    features, cond = torch.randn(samples, 16, 64), torch.randn(samples, 64)
    cond = nn.functional.silu(cond)
    return block.bind(features, Conditioning(cond, cond)), features


def symmetric(seed: int, *, size: int = 200, rho: float = 0.9, batch: int = 1):
    """A symmetric affine map with eigenvalues evenly spread over [-rho, rho], float32."""
    rng = torch.Generator().manual_seed(seed)
    shape = batch, size, size
    basis = torch.linalg.qr(torch.randn(shape, dtype=torch.float64, generator=rng))[0]
    spectrum = torch.linspace(-rho, rho, size, dtype=torch.float64)
    matrix = (basis * spectrum @ basis.mT).float()
    offset = torch.randn(batch, size, generator=rng)
    return lambda z: (matrix @ z[:, :, None])[:, :, 0] + offset


def peak_bytes(run) -> int:
    """The most bytes that `run` has allocated at a time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    assert events
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


class BlockPasses:
    """Counts the passes of every transformer block of a network, from outside."""

    def __init__(self, model: nn.Module) -> None:
        self.count = 0
        self.blocks = [module for module in model.modules() if isinstance(module, Block)]

    def __enter__(self) -> "BlockPasses":
        self.handles = [block.register_forward_hook(self._note) for block in self.blocks]
        return self

    def __exit__(self, *_) -> None:
        for handle in self.handles:
            handle.remove()

    def _note(self, *_) -> None:
        self.count += 1


class ComputedBlocks(BlockPasses):
    """Counts the transformer blocks whose attention is computed: a cache passes over the others.

    A hook of `Block` itself is called too where diffusers has put something in its place.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.blocks = [block.attn.proj for block in self.blocks]
