"""Networks to time, the bare loops over their calls, and the same captured or compiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

import fpdm
from fpdm.models import PRESETS
from tests.benchmarks.costs.settings import DIGITS, Workload
from tests.benchmarks.costs.timing import Run

GAIN = 0.02
"""Standard deviation of random weights: a new network predicts zero, and would hide what it does;
of larger ones the published sizes overflow.
"""


DIT = "DiT "
"""Before a size, where it is that of a DiT."""


class MissingError(Exception):
    """What was to be measured is not there; the message says what."""


@frozen(eq=False)
class Inputs:
    """What a straight loop is given.

    Attributes:
        x: (B, C, H, W).
        labels: (B,).
        timesteps: one () for each, on the device.
    """

    x: Tensor
    labels: Tensor
    timesteps: tuple[Tensor, ...]

    @classmethod
    def of(cls, network: Any, workload: Workload) -> Inputs:
        config, batch = network.config, workload.batch
        shape = (batch, config["in_channels"], config["sample_size"], config["sample_size"])
        on = {"device": network.device}
        return cls(
            torch.randn(shape, dtype=network.dtype, **on),
            torch.arange(batch, **on) % config["num_classes"],
            torch.linspace(999, 1, workload.steps, **on).long().unbind(),
        )


def implicit(size: str, *, device: str, dtype: torch.dtype) -> Any:
    """The fixed-point network of a size, with random weights; the digits are trained."""
    if size == DIGITS:
        return fpdm.FPDMPipeline.digits().model.to(device, dtype).eval()
    return _random(fpdm.FPDiT, size, device=device, dtype=dtype)


def explicit(size: str, *, passes: int, device: str, dtype: torch.dtype) -> Any:
    """The DiT of a size; beside the digits, one with as many blocks as a timestep has passes."""
    if size == DIGITS:
        config = fpdm.FPDMPipeline.digits().model.config
        same = ("sample_size", "patch_size", "in_channels", "hidden_size", "num_heads")
        sizes = {name: config[name] for name in (*same, "num_classes")}
        return _lively(fpdm.DiT(depth=passes, **sizes)).to(device, dtype)
    return _random(fpdm.DiT, size, device=device, dtype=dtype)


def explicit_steps(network: Any, workload: Workload, *, passes: int) -> Workload:
    """Timesteps of a DiT that make as many block passes as the workload, or nearly."""
    depth = network.pre_passes
    steps = max(2, round(passes / depth))
    return Workload(DIT + workload.size, workload.batch, steps, depth)


def scheduler_of(size: str) -> Any:
    """What the digits were trained for; DDIM for networks of random weights."""
    return fpdm.FPDMPipeline.digits().scheduler if size == DIGITS else fpdm.EvenDDIMScheduler()


def pipeline(network: Any, scheduler: Any) -> fpdm.FPDMPipeline:
    """A pipeline that says nothing."""
    pipe = fpdm.FPDMPipeline(network, scheduler)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def compiled_pipeline(network: Any, scheduler: Any) -> fpdm.FPDMPipeline:
    """A pipeline compiled as it offers to be, over a copy of the network."""
    pipe = pipeline(deepcopy(network), scheduler)
    if not hasattr(pipe, "compile"):
        raise MissingError("the pipeline has no compile()")
    pipe.compile()
    return pipe


def sampling(
    pipe: fpdm.FPDMPipeline, workload: Workload, solver: str | None, **options: Any
) -> Run:
    """The pipeline's run of a workload; with the network's own solver where None is named."""
    network = pipe.model
    labels = [number % network.config["num_classes"] for number in range(workload.batch)]
    each = network.pre_passes + network.post_passes
    if hasattr(network, "layer"):
        each += workload.iterations
        options |= {"solver": solver, "init": "reuse"}
    options |= {"budget": workload.steps * each}
    return lambda: pipe(labels, num_inference_steps=workload.steps, output_type="latent", **options)


def forward(network: Any, inputs: Inputs, timestep: Tensor, iterations: int) -> Tensor:
    """One timestep by the network's own calls, with nothing between them."""
    if not hasattr(network, "layer"):
        return network(inputs.x, timestep=timestep, class_labels=inputs.labels).sample
    cond = network.embed(inputs.x, timestep, inputs.labels)
    z = features = network.denoiser.pre(inputs.x, cond)
    f = network.layer.block.bind(features, cond)
    for _ in range(iterations):
        z = f(z)
    return network.denoiser.post(z, cond)


def straight(network: Any, workload: Workload) -> Run:
    """The calls of a sampling run in a bare loop: no solver, no scheduler."""
    inputs = Inputs.of(network, workload)

    @torch.no_grad()
    def run() -> None:
        for timestep in inputs.timesteps:
            forward(network, inputs, timestep, workload.iterations)

    return run


def captured(network: Any, workload: Workload) -> Run:
    """The straight loop with each timestep replayed as a CUDA graph."""
    inputs = Inputs.of(network, workload)
    timestep = inputs.timesteps[0].clone()

    @torch.no_grad()
    def once() -> None:
        forward(network, inputs, timestep, workload.iterations)

    side = torch.cuda.Stream()  # libraries set themselves up on a stream before it is captured
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            once()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        once()

    def run() -> None:
        for each in inputs.timesteps:
            timestep.copy_(each)
            graph.replay()

    return run


def compiled(network: Any, **options: Any) -> Any:
    """A copy whose parts are compiled, each by itself: graphs grow with no one's iterations."""
    copy = deepcopy(network)
    if hasattr(copy, "layer"):
        for part in (copy.denoiser.pre, copy.layer.block, copy.denoiser.post):
            part.compile(dynamic=False, **options)
    else:
        copy.compile_repeated_blocks(dynamic=False, **options)
    return copy


def compilations(run: Callable[[], object]) -> Counter[str]:
    """How many graphs `run` compiles, and how often one breaks."""
    from torch._dynamo.utils import counters

    counters.clear()
    run()
    breaks = sum(counters["graph_break"].values())
    return Counter(graphs=counters["stats"]["unique_graphs"], breaks=breaks)


def _random(cls: Any, size: str, *, device: str, dtype: torch.dtype) -> nn.Module:
    if size not in PRESETS:
        raise MissingError(f"no preset is named {size}")
    with torch.device(device):  # built there: 675 million numbers take long on a CPU
        network = cls.from_preset(
            size, sample_size=32, in_channels=4, num_classes=1000, learn_sigma=True
        )
    return _lively(network).to(device, dtype)


@torch.no_grad()
def _lively(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in network.parameters():
        parameter.normal_(std=GAIN)
    return network.eval()
