"""Reading a file of weights, and nothing else that may be in it."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fpdm.checks import check_choice
from fpdm.errors import InvalidValueError, listed

WEIGHTS = ("ema", "model")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@frozen(eq=False)
class Checkpoint:
    """What a file holds.

    Attributes:
        state: the weights, by their published names.
        num_classes: classes, as the training has noted them; None if it has not.
        model: what the training calls the network, such as `SiT-XL/2`; None if it does not.
    """

    state: dict[str, Tensor]
    num_classes: int | None = None
    model: str | None = None


def read_checkpoint(path: str | Path, weights: str | None = None) -> Checkpoint:
    """Read the tensors of a file, and what it says of the classes.

    Args:
        path: a state dict or a training checkpoint (`.pt`), or `.safetensors`.
        weights: which of a training checkpoint, `ema` or `model`; None is the first that it has.

    Returns:
        The weights as they lie in the file, on the CPU, and the number of classes.

    Raises:
        InvalidValueError: there is no such file, it holds no weights, or it could run code.
    """
    path = Path(path)
    if weights is not None:
        check_choice("weights", weights, choices=WEIGHTS)
    if not path.is_file():
        raise InvalidValueError(f"{path}: there is no such file.")
    content = _read(path)
    if not isinstance(content, Mapping):
        raise InvalidValueError(
            f"{path} holds a {type(content).__name__}: must hold a state dict or a training "
            f"checkpoint."
        )
    there = [name for name in WEIGHTS if isinstance(content.get(name), Mapping)]
    if weights is not None and weights not in there:
        has = f"it has {' and '.join(there)}" if there else "it is no training checkpoint"
        raise InvalidValueError(f"{path} has no {weights!r} weights: {has}.")
    args = content.get("args") if there else None
    state = content[weights or there[0]] if there else content
    noted = vars(args) if isinstance(args, argparse.Namespace) else args
    classes = noted.get("num_classes") if isinstance(noted, Mapping) else None
    model = noted.get("model") if isinstance(noted, Mapping) else None
    return Checkpoint(
        _check_state(state, path),
        classes if isinstance(classes, int) else None,
        model if isinstance(model, str) else None,
    )


def _read(path: Path) -> Any:
    """Read a file, without running anything that it holds."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise InvalidValueError(f"{path} is no safetensors file: {error}.") from error
    try:
        # a training checkpoint keeps its arguments as argparse gave them, which are plain values
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in many ways
        found = re.search(r"(?:GLOBAL|[Cc]lass) ([\w.]+\.\w+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and found:
            raise InvalidValueError(
                f"{path} holds a {found[1]}, which is neither a tensor nor a plain value; it is "
                f"refused, since loading it could run code."
            ) from error
        raise InvalidValueError(
            f"{path} is no checkpoint of PyTorch, or is damaged or incomplete."
        ) from error


def _check_state(state: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    wrong = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if wrong or not state:
        raise InvalidValueError(
            f"{path} holds no weights: must be a state dict, or a training checkpoint with ema or "
            f"model in it{', but has ' + listed(wrong) if wrong else ''}."
        )
    named = {str(name): tensor for name, tensor in state.items()}
    for wrapper in ("module.", "_orig_mod."):  # of DistributedDataParallel, and of torch.compile
        if all(name.startswith(wrapper) for name in named):
            named = {name.removeprefix(wrapper): tensor for name, tensor in named.items()}
    if wrong := [name for name, tensor in named.items() if not _is_plain(tensor)]:
        raise InvalidValueError(
            f"{path}: must be dense tensors of {', '.join(map(str, DTYPES))}: {listed(wrong)}."
        )
    return named


def _is_plain(tensor: Tensor) -> bool:
    return tensor.dtype in DTYPES and tensor.layout == torch.strided and not tensor.is_meta
