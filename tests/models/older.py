"""Weights as versions wrote them that kept the first layer of the iterated block in one piece."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fpdm.runtime import storage

MIX = "denoiser.layer.block.mix"


def older(tensors: dict[str, Tensor], slots: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """The tensors under their older names.

    Args:
        tensors: weights by name, or what an optimizer keeps of them in its slots.
        slots: what follows a name.
    """
    found = {name: value for name, value in tensors.items() if not name.startswith(MIX)}
    for slot in slots:
        state, injection, bias = (
            tensors[f"{MIX}.{name}{slot}"]
            for name in ("state.weight", "injection.weight", "injection.bias")
        )
        whole = torch.cat([state, injection], dim=1) if state.dim() else state
        found |= {f"{MIX}.weight{slot}": whole, f"{MIX}.bias{slot}": bias}
    return {name: value.clone() for name, value in found.items()}


def make_older(checkpoint: Path) -> None:
    """Rewrite a checkpoint of a training with AdamW as an older version would have written it."""
    slots = {"optimizer.safetensors": ("/exp_avg", "/exp_avg_sq", "/step")}
    for path in checkpoint.rglob("*.safetensors"):
        tensors = load_file(path)
        if path.name != "random.safetensors":
            save_file(older(tensors, slots.get(path.name, ("",))), path)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        path = checkpoint / name
        entry |= {"bytes": path.stat().st_size, "sha256": storage.sha256(path)}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
