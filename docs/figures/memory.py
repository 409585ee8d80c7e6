"""What training keeps for the backward pass, and what keeping less costs: a table, and no picture.

`python docs/figures/memory.py` counts and times for `docs/tables/memory.md`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch

import data
import fpdm

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.training.kept import SIZE, implicit, kept_bytes

RUNS = 15


def count() -> Iterator[str]:
    """Bytes kept by each network, relative to the explicit one."""
    explicit = fpdm.DiT(**SIZE, num_classes=10, depth=28)
    base = kept_bytes(explicit)
    yield "| network | kept for the backward pass | with checkpointing |"
    yield "| --- | --- | --- |"
    networks = {
        "DiT of depth 28": explicit,
        "DiT of depth 14": fpdm.DiT(**SIZE, num_classes=10, depth=14),
        "FPDiT, m = 12, keeping everything": eager(implicit(no_grad=0)),
        "FPDiT, m = 12": implicit(no_grad=0),
    }
    for name, network in networks.items():
        kept = kept_bytes(network)
        network.enable_gradient_checkpointing()
        yield f"| {name} | {kept / base:.2f} | {kept_bytes(network) / base:.3f} |"
    yield ""
    yield (
        f"Relative to the first, {base / 1e6:.0f} MB. Batch of 2, latents of {SIZE['sample_size']} "
        f"× {SIZE['sample_size']}, patch {SIZE['patch_size']}, width {SIZE['hidden_size']}, "
        f"float32; weights are not counted. FPDiT has one explicit block before and one after."
    )


def eager(network: fpdm.FPDiT) -> fpdm.FPDiT:
    """The network, with nothing computed again."""
    block = network.layer.block
    block.lean = block.block.lean = False
    return network


def cost() -> str:
    """CPU time of a training step, keeping less against keeping everything."""
    torch.set_num_threads(1)
    networks = {"less": implicit(no_grad=0), "everything": eager(implicit(no_grad=0))}
    times: dict[str, list[float]] = {name: [] for name in networks}
    x, labels = torch.randn(2, 4, 32, 32), torch.tensor([1, 2])
    for _ in range(RUNS):
        for name, network in networks.items():
            began = time.process_time()
            out = network.train()(x, timestep=torch.tensor([5, 500]), class_labels=labels)
            out.sample.square().mean().backward()
            times[name].append(time.process_time() - began)
    ratios = [less / all_ for less, all_ in zip(*times.values(), strict=True)]
    low, high = sorted(ratios)[RUNS // 4], sorted(ratios)[-1 - RUNS // 4]
    return (
        f"Computing again costs {median(ratios) - 1:.1%} of the CPU time of a forward and backward "
        f"pass (quartiles {low - 1:.1%} and {high - 1:.1%} of {RUNS} interleaved pairs, one "
        f"thread, torch {torch.__version__})."
    )


if __name__ == "__main__":
    text = "\n".join([*count(), "", cost()]) + "\n"
    (data.TABLES / "memory.md").write_text(text, encoding="utf-8")
