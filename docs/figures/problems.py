"""The fixed-point problems that a sampling run meets, one at each timestep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

import data
import fpdm


@frozen(eq=False)
class Problem:
    """What the implicit layer was asked at one timestep.

    Attributes:
        index: in sampling order.
        timestep: of the diffusion.
        f: the map.
        features: (B, N, D).
        history: the timesteps before, oldest first.
        moment: of this timestep.
    """

    index: int
    timestep: int
    f: Callable[[Tensor], Tensor]
    features: Tensor
    history: Sequence[fpdm.Visited]
    moment: fpdm.Moment


def visit(
    look: Callable[[Problem], None], *, num: int, steps: int, iterations: int, init: str = "reuse"
) -> None:
    """Draw `num` digits with the model's own solver, and have a look at each problem before it."""
    pipe, index = data.pipeline(), 0
    layer = pipe.model.layer

    def before(_: Any, args: tuple[Tensor, Any], options: dict[str, Any]) -> None:
        nonlocal index
        f, (history, moment) = layer.block.bind(*args), (options["history"], options["moment"])
        look(Problem(index, int(moment.timestep), f, args[0], history, moment))
        index += 1

    hook = layer.register_forward_pre_hook(before, with_kwargs=True)
    try:
        pipe(
            torch.arange(num) % 10,
            budget=steps * (2 + iterations),
            num_inference_steps=steps,
            init=init,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        )
    finally:
        hook.remove()
