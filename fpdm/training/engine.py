"""Processes, devices and precision: accelerate, as a training uses it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, cast

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from attrs import evolve
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from fpdm.denoiser import FixedPointDenoiser
from fpdm.errors import InvalidValueError
from fpdm.models import SavedNetwork
from fpdm.runtime.processes import processes
from fpdm.training.config import EngineConfig, TrainConfig

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Weights in one piece, on the CPU."""

MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def start_engine(config: TrainConfig) -> Accelerator:
    """Make the accelerator of a training, once its processes are known to fit the configuration.

    Args:
        config: of the training.

    Returns:
        The accelerator, with the device and the precision of this process.

    Raises:
        InvalidValueError: they do not fit, or this machine cannot do what is asked for.
    """
    engine = config.engine
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise InvalidValueError(
            "The launcher asks for FSDP, but which modules are to be spread is for the training to "
            "say: launch without it, and with --set engine.sharding=fsdp."
        )
    if engine.precision == "fp16" and not torch.cuda.is_available():
        raise InvalidValueError(
            "engine.precision='fp16': there is no GPU, and a CPU has no fp16; use bf16 or fp32."
        )
    mixed = MIXED[engine.precision]
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != mixed:
        AcceleratorState._reset_state()  # of an earlier training in this process
    processes()
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision=mixed,
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
        ],
    )
    parts = accelerator.num_processes * engine.gradient_accumulation
    if config.batch_size % parts:
        raise InvalidValueError(
            f"batch_size={config.batch_size} cannot be shared equally by "
            f"{accelerator.num_processes} processes in {engine.gradient_accumulation} parts each; "
            f"use a multiple of {parts}."
        )
    if engine.sharding == "fsdp" and accelerator.num_processes == 1:
        raise InvalidValueError(
            "engine.sharding='fsdp': there is one process, and nothing to spread the weights over; "
            "launch several, or use 'none'."
        )
    return accelerator


def prepare(accelerator: Accelerator, network: SavedNetwork, config: EngineConfig) -> nn.Module:
    """Put a network on its device, ready to be trained by all processes together.

    Args:
        accelerator: of the training.
        network: untrained.
        config: how the work is done.

    Returns:
        The network as it is to be called.

    Raises:
        InvalidValueError: the network cannot compute again what is not kept.
    """
    if config.gradient_checkpointing:
        if not network._supports_gradient_checkpointing:
            raise InvalidValueError(
                f"engine.gradient_checkpointing=true: a {type(network).__name__} cannot; leave it "
                f"out."
            )
        network.enable_gradient_checkpointing()
    if config.compile:
        compile_parts(network)
    if config.sharding == "fsdp":
        return spread(cast("SavedNetwork", network.to(accelerator.device)))
    return accelerator.prepare_model(network)


def compile_parts(network: SavedNetwork) -> None:
    """Compile what a training step runs, apart from how often it runs it.

    The counts of iterations are drawn at random, and a network that is compiled as a whole would be
    so anew for each of them. What is compiled are the blocks whose classes it names in
    `_no_split_modules`, as models of diffusers do; of one with an implicit layer that names none,
    the map that is iterated, and the parts before and after; and else all of it.

    Args:
        network: that is trained.
    """
    layer = getattr(network, "layer", None)
    if blocks := _named(network, "_no_split_modules"):
        for module in blocks:
            module.compile()
    elif layer is None:
        network.compile()
    else:
        layer.block.bind = _compiled_maps(layer.block.bind)
        for part in _around(network):
            part.compile()


def _compiled_maps(bind: Callable[..., Callable[[Tensor], Tensor]]) -> Callable[..., Any]:
    """What binds maps that are compiled: once for all, as they have their code in common."""

    def bound(features: Tensor, cond: Any) -> Any:
        return torch.compile(bind(features, cond))

    return bound


def spread(network: SavedNetwork) -> nn.Module:
    """Spread the weights over the processes (FSDP2).

    A block is gathered when it runs. The block that is iterated stays so until its last iteration.
    A modulation is computed apart from its block, and is gathered apart. A network names the
    classes of its blocks in `_repeated_blocks`, as models of diffusers do. Of one that names none
    the parts before and after the implicit layer are gathered apart from the rest.

    Args:
        network: on its device.

    Returns:
        The network, its weights spread.
    """
    layer = getattr(network, "layer", None)
    iterated = set() if layer is None else set(layer.modules())
    blocks = _named(network, "_repeated_blocks") or _around(network)
    for block in blocks:
        released = block not in iterated
        if isinstance(modulation := getattr(block, "modulation", None), nn.Module):
            fully_shard(modulation, reshard_after_forward=released)
        fully_shard(block, reshard_after_forward=released)
    # FSDP looks for what the backward pass comes through in tuples, and not in values of ours
    network.register_forward_hook(lambda _, __, out: (out.sample, out))
    spread_out = cast("nn.Module", fully_shard(network))
    network.register_forward_hook(lambda _, __, out: evolve(out[1], sample=out[0]))
    return spread_out


def _around(network: SavedNetwork) -> list[nn.Module]:
    """The parts of a network before and after its implicit layer, where it has such."""
    denoisers = [each for each in network.modules() if isinstance(each, FixedPointDenoiser)]
    return [part for each in denoisers for part in (each.pre, each.post)]


def _named(network: SavedNetwork, attribute: str) -> list[nn.Module]:
    """The modules whose classes a network names in an attribute."""
    names = getattr(network, attribute, None) or ()
    return [module for module in network.modules() if type(module).__name__ in names]


def synchronised(accelerator: Accelerator, network: nn.Module, *, last: bool) -> Any:
    """A context in which gradients are summed over the processes only if this part is the last.

    Args:
        accelerator: of the training.
        network: what `prepare` returned.
        last: whether this part of a batch is the last.
    """
    if isinstance(network, FSDPModule):
        network.set_requires_gradient_sync(last)
        return nullcontext()
    return nullcontext() if last else accelerator.no_sync(network)


def whole(value: Tensor) -> Tensor:
    """A tensor that may be spread over the processes, in one piece; all of them have to call it.

    Args:
        value: of any shape.

    Returns:
        A plain tensor of the same shape.
    """
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(value: Tensor, kept: Tensor) -> Tensor:
    """A tensor in one piece, spread over the processes as another is.

    Args:
        value: of any shape.
        kept: of the same shape, plain or spread.

    Returns:
        A tensor of the same shape.
    """
    if isinstance(kept, DTensor):
        return distribute_tensor(value.to(kept.device), kept.device_mesh, kept.placements)
    return value


def put_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a network that may be spread; all processes have to call it.

    Args:
        network: what `prepare` returned.
        weights: in one piece, by the names that they have in the network alone.
    """
    set_model_state_dict(network, dict(weights), options=WHOLE)
