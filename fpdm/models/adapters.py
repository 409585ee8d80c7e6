"""Adapters (LoRA) of a network, as models of diffusers have them, with `peft`.

Source: Hu et al., LoRA: low-rank adaptation of large language models, ICLR 2022.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY, LORA_WEIGHT_NAME_SAFE
from diffusers.loaders.peft import PeftAdapterMixin
from safetensors import safe_open
from torch import Tensor, nn

from fpdm.errors import InvalidValueError
from fpdm.runtime.adapting import all_ask_for_peft, asks_for_peft

PREFIXES = ("", "model.", "transformer.")
"""What may stand before the names in a file of adapters: pipelines set theirs."""

SIDES = {".lora_A.": 1, ".lora_B.": 0}
"""Which side of an adapter has the width of its layer, in the dimension of both."""

BASE = "base_layer"
"""What the layer is called inside of what an adapter has put in its place."""

Given = str | Path | dict[str, Tensor]


@all_ask_for_peft
class _Asking(PeftAdapterMixin):
    """What diffusers has, which without peft says what to install."""


class Adapted(_Asking):
    """A network that takes adapters: `add_adapter`, `set_adapters`, `fuse_lora` and the others."""

    @asks_for_peft
    def load_lora_adapter(
        self,
        pretrained_model_name_or_path_or_dict: Given,
        prefix: str | None = None,
        hotswap: bool = False,
        **options: Any,
    ) -> Any:
        """Load an adapter; see diffusers.

        Args:
            pretrained_model_name_or_path_or_dict: a folder or a file that `save_lora_adapter` or
                `save_lora_weights` wrote, the name of a repository, or tensors by name.
            prefix: which tensors are taken, and what is cut off their names; None takes all, and
                cuts off what a pipeline has set before them.
            hotswap: whether it takes the place of the adapter of that name.
            options: of diffusers, such as `adapter_name` and `weight_name`.

        Returns:
            What diffusers returns.

        Raises:
            InvalidValueError: there are no tensors of an adapter of this network.
            MissingDependencyError: peft or transformers is not installed.
        """
        given = pretrained_model_name_or_path_or_dict
        if not isinstance(given, dict):
            file = _local(given, options)
            if file is None:  # of a repository
                return super().load_lora_adapter(
                    str(given), prefix=prefix, hotswap=hotswap, **options
                )
            given, metadata = _read(file)
            options = {"metadata": metadata, **options, "weight_name": None}
        if prefix is None:
            before = self._prefix(given)
            given = _cut(given, before)
            if options.get("metadata") is not None:
                options["metadata"] = _cut(options["metadata"], before)
        return super().load_lora_adapter(given, prefix=prefix, hotswap=hotswap, **options)

    def _prefix(self, state: dict[str, Tensor]) -> str:
        """What stands before the names of an adapter, which must be one of this network."""
        wrong = [self._wrong(state, before) for before in PREFIXES]
        for before, found in zip(PREFIXES, wrong, strict=True):
            if found is None:
                return before
        raise InvalidValueError(f"This is no adapter of this {type(self).__name__}: {wrong[0]}.")

    def _wrong(self, state: dict[str, Tensor], before: str) -> str | None:
        """Why tensors are no adapter of this network, as the end of a sentence."""
        layers = _layers(self)
        if not any(".lora" in name or ".lokr" in name for name in state):
            return "it holds no tensor of one"
        for name, tensor in sorted(state.items()):
            if not name.startswith(before):
                return f"it holds {name!r}, which is of no layer"
            layer = layers.get(_layer_of(name.removeprefix(before), layers))
            if layer is None:
                return f"it holds {name!r}, which is of no layer"
            for side, dimension in SIDES.items():
                weight = getattr(layer, "weight", None)
                if side in name and weight is not None and tensor.dim() > 1:
                    has, wants = tensor.shape[dimension], weight.shape[dimension]
                    if has != wants:
                        return f"{name!r} is of width {has}, and its layer of {wants}"
        return None


def check_bare(network: nn.Module) -> None:
    """Check that a network has no adapters, before it is saved as a whole.

    Args:
        network: any.

    Raises:
        InvalidValueError: it has some, whose layers would be saved under names of their own.
    """
    if any(hasattr(module, BASE) for module in network.modules()):
        raise InvalidValueError(
            "The network has adapters, which are not saved with it: save_lora_adapter saves one, "
            "and unload_lora takes them off, after fuse_lora with what they have learned left in "
            "the weights."
        )


def _layers(network: Any) -> dict[str, nn.Module]:
    """The layers of a network by the names that they have without adapters."""
    return {
        name.replace(f".{BASE}", ""): module
        for name, module in network.named_modules()
        if name and not hasattr(module, BASE) and ".lora_" not in f".{name}"
    }


def _layer_of(name: str, layers: dict[str, nn.Module]) -> str:
    """The longest part of a name that is one of a layer; empty if there is none."""
    while name and name not in layers:
        name = name.rpartition(".")[0]
    return name


def _local(given: Any, options: dict[str, Any]) -> Path | None:
    """The file of an adapter on this machine; None for the name of a repository."""
    path = Path(given)
    if path.is_dir():
        path = path / (options.get("subfolder") or "")
        path = path / (options.get("weight_name") or LORA_WEIGHT_NAME_SAFE)
    elif not path.exists() and not _is_path(given):
        return None
    if not path.is_file():
        raise InvalidValueError(f"{path}: there is no such file of an adapter.")
    return path


def _is_path(given: str | Path) -> bool:
    """Whether what is not there would have been a file: repositories are called `owner/name`."""
    parts = Path(given).parts
    return isinstance(given, os.PathLike) or len(parts) != 2 or parts[0] in (".", "..", "/", "~")


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors of an adapter, and its settings if they are in the file."""
    try:
        if file.suffix != ".safetensors":
            return dict(torch.load(file, map_location="cpu", weights_only=True)), None
        with safe_open(file, "pt") as opened:  # which is no mapping
            found = (opened.metadata() or {}).get(LORA_ADAPTER_METADATA_KEY)
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return state, None if found is None else json.loads(found)
    except Exception as error:  # each reader has its own
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidValueError(f"{file} cannot be read as an adapter: {said}") from error


def _cut(named: dict[str, Any], before: str) -> dict[str, Any]:
    return {name.removeprefix(before): value for name, value in named.items()}
