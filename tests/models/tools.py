"""Tools that look inside modules, each as a function of a network that it changes.

Whatever holds weights back, moves them, replaces a layer or listens to it finds every weight of a
network only if the module that owns it is called.
"""

import copy
import io
import pickle
from pathlib import Path

import torch
import torch.nn.utils.prune
from accelerate import cpu_offload, disk_offload, dispatch_model
from torch import nn

CPU = torch.device("cpu")


def parts(model: nn.Module, place: str) -> dict[str, str]:
    """Every other part of a network in a place, the rest on the CPU."""
    names = [name for name, _ in model.named_children()]
    if hasattr(model, "denoiser"):
        names = ["embeddings", *(f"denoiser.{name}" for name, _ in model.denoiser.named_children())]
    return {name: place if index % 2 else "cpu" for index, name in enumerate(names)}


def linears(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


def offloaded(model, _):
    return cpu_offload(model, CPU)


def on_disk(model, folder):
    disk_offload(model, folder, CPU)
    return model


def dispatched(model, folder):
    return dispatch_model(model, parts(model, "disk"), main_device="cpu", offload_dir=folder)


def mapped(model, folder):
    model.save_pretrained(folder / "model")
    options = {"device_map": parts(model, "disk"), "offload_folder": folder / "weights"}
    return type(model).from_pretrained(folder / "model", **options)


def in_groups(kind: str, *, on_disk: bool = False):
    def apply(model, folder):
        options = {"num_blocks_per_group": 1} if kind == "block_level" else {}
        if on_disk:
            options["offload_to_disk_path"] = str(folder)
        model.enable_group_offload(CPU, CPU, offload_type=kind, **options)
        return model

    return apply


def normed(norm):
    def apply(model, _):
        for linear in linears(model):
            norm(linear)
        return model

    return apply


def over_meta(model, _):
    state = model.state_dict()
    model = model.to("meta").to_empty(device="cpu")
    model.load_state_dict(state)
    return model


def assigned(model, _):
    with torch.device("meta"):
        fresh = type(model).from_config(model.config)
    fresh.load_state_dict(model.state_dict(), assign=True)
    return fresh.eval()


def torch_saved(model, _):
    file = io.BytesIO()
    torch.save(model, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


def scripted(model, folder: Path):
    model.save_pretrained(folder, safe_serialization=False)
    return type(model).from_pretrained(folder, use_safetensors=False)


SAME = {
    "accelerate.cpu_offload": offloaded,
    "accelerate.disk_offload": on_disk,
    "accelerate.dispatch_model": dispatched,
    "device_map": mapped,
    "groups of blocks": in_groups("block_level"),
    "groups of leaves": in_groups("leaf_level"),
    "groups of blocks on disk": in_groups("block_level", on_disk=True),
    "groups of leaves on disk": in_groups("leaf_level", on_disk=True),
    "weight_norm": normed(nn.utils.parametrizations.weight_norm),
    "older weight_norm": normed(nn.utils.weight_norm),
    "to_empty": over_meta,
    "assign": assigned,
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "torch.save": torch_saved,
    "not safetensors": scripted,
    "channels_last": lambda model, _: model.to(memory_format=torch.channels_last),
}
"""After these a network computes what it computed before."""
