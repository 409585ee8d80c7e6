"""What a scheduler is, as a value: of two that are alike, runs are alike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

PLAIN = (type(None), bool, int, float, str, bytes, np.generic, torch.dtype, torch.device)


def likeness(scheduler: Any) -> Hashable | None:
    """The class of a scheduler and all that it holds, its configuration and timesteps among it.

    Args:
        scheduler: of diffusers.

    Returns:
        A value that equals that of any scheduler like it; None where it holds something of which
        nobody knows whether it is the same.
    """
    try:
        return type(scheduler), _value(vars(scheduler))
    except TypeError:
        return None


def _value(held: Any) -> Hashable:
    if isinstance(held, PLAIN):
        return type(held), held
    if isinstance(held, Tensor):
        flat = held.detach().cpu().flatten().contiguous()
        return held.dtype, held.shape, flat.view(torch.uint8).numpy().tobytes()
    if isinstance(held, np.ndarray) and held.dtype != object:
        return np.ndarray, held.dtype.str, held.shape, held.tobytes()
    if isinstance(held, Mapping):
        return dict, tuple((key, _value(each)) for key, each in held.items())
    if isinstance(held, (list, tuple)):
        return list, tuple(_value(each) for each in held)
    raise TypeError(f"{type(held).__name__} is no plain value")
