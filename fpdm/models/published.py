"""Checkpoints of the published DiT and FPDM codes, read into our networks.

What the shapes of the tensors tell is read off them. The names are those of Peebles and Xie (DiT)
and of Bai and Melas-Kyriazi (FPDM); of the parts that both have they are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fpdm.checks import check_whole
from fpdm.errors import InvalidValueError, listed
from fpdm.models.diffusers_dit import open_dit
from fpdm.models.dit import DiT
from fpdm.models.fpdit import FPDiT
from fpdm.models.mix import Mix
from fpdm.models.patches import PatchNetwork
from fpdm.models.positions import sincos_positions
from fpdm.models.presets import PRESETS
from fpdm.models.saved import SavedNetwork
from fpdm.models.weights import read_checkpoint

HEADS = {preset.hidden_size: preset.num_heads for preset in PRESETS.values()}
HEAD_SIZE = 64
"""Of the published widths but one, and what is assumed for others."""

_PATCHES, _POSITIONS = "x_embedder.proj.weight", "pos_embed"
_LABELS, _OUTPUT = "y_embedder.embedding_table.weight", "final_layer.linear.weight"
_ANCHORS = {_PATCHES: 4, _POSITIONS: 3, _LABELS: 2, _OUTPUT: 2}  # and their dimensions

_IN_BLOCKS = {"mlp.0.": "mlp.fc1.", "mlp.2.": "mlp.fc2.", "modulation.": "adaLN_modulation.1."}
_EMBEDDINGS = {
    "embeddings.timestep.mlp.": "t_embedder.mlp.",
    "embeddings.label.": "y_embedder.embedding_table.",
}
_DIT = _EMBEDDINGS | {
    "encoder.patches.": "x_embedder.proj.",
    "encoder.positions": _POSITIONS,
    "encoder.blocks.": "blocks.",
    "decoder.final.": "final_layer.",
}
_FPDM = _EMBEDDINGS | {
    "denoiser.pre.patches.": "x_embedder.proj.",
    "denoiser.pre.positions": _POSITIONS,
    "denoiser.pre.blocks.": "blocks_pre.",
    "denoiser.layer.block.injection.": "block_pre_projection.",
    "denoiser.layer.block.mix.": "block_fixed_point_projection_fc1.",
    "denoiser.layer.block.narrow.": "block_fixed_point_projection_fc2.",
    "denoiser.layer.block.block.": "block_fixed_point.",
    "denoiser.post.blocks.": "blocks_post.",
    "denoiser.post.final.": "final_layer.",
}


def load_published(
    path: str | Path,
    *,
    weights: str | None = None,
    num_heads: int | None = None,
    num_classes: int | None = None,
    condition_pre_post_on_timestep: bool = True,
    clock: str | None = None,
) -> SavedNetwork:
    """Read a published checkpoint into an [`FPDiT`][fpdm.FPDiT] or a [`DiT`][fpdm.DiT].

    A folder of diffusers, with a `DiTTransformer2DModel` in it, is read too.

    Only tensors and plain values are read; a file that holds anything else is refused, and no code
    of it runs. The network has the dtype of the checkpoint, or float32 where it has several.

    Args:
        path: a bare state dict or a training checkpoint (`.pt`), or `.safetensors`.
        weights: which of a training checkpoint, `ema` or `model`; None is `ema` where it has both.
        num_heads: attention heads. None is what the published networks of this width have, and
            heads of size 64 for other widths.
        num_classes: classes. None is what a training checkpoint says of itself; where it says
            nothing, the last row of the label table is taken for no class.
        condition_pre_post_on_timestep: whether the explicit layers of an FPDM see the timestep.
        clock: of what the network was told in training, from the clean image to the noise:
            `thousand`, 0 to 1000; `sit`, 1 to 0; `unit`, 0 to 1. None is `sit` where a training
            checkpoint says that it is of a SiT; otherwise it is not known, and a pipeline of flow
            matching refuses the network.

    Returns:
        The network, in evaluation mode on the CPU.

    Raises:
        InvalidValueError: the file cannot be read, or does not hold such a network; the message
            names the tensors that are missing, too many or of a wrong shape.
    """
    if Path(path).is_dir():
        return _of_diffusers(
            path,
            weights=weights,
            num_heads=num_heads,
            num_classes=num_classes,
            clock=None if clock == "thousand" else clock,
        )
    checkpoint = read_checkpoint(path, weights)
    clock = ("sit" if is_sit(checkpoint.model) else None) if clock is None else clock
    state, told = checkpoint.state, checkpoint.num_classes if num_classes is None else num_classes
    _check_anchors(state)
    implicit = any(name.startswith(("block_fixed_point", "blocks_pre.")) for name in state)
    config = _read_shapes(state, num_heads=num_heads, num_classes=told, implicit=implicit)
    config["clock"] = clock
    names = _FPDM if implicit else _DIT
    if implicit:
        config["condition_pre_post_on_timestep"] = condition_pre_post_on_timestep
    cls = FPDiT if implicit else DiT
    with torch.device("meta"):
        expected = {
            _published_name(name, names): tuple(tensor.shape)
            for name, tensor in _whole(cls(**config | {"stored_positions": True})).items()
        }
    _compare(state, expected)
    if lost := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise InvalidValueError(f"The checkpoint holds inf or NaN: {listed(lost)}.")

    config["stored_positions"] = not _is_sincos(state[_POSITIONS])
    network = cls(**config)
    dtypes = {tensor.dtype for tensor in state.values()}
    nn.Module.to(network, dtypes.pop() if len(dtypes) == 1 else torch.float32)
    network.load_state_dict({name: state[_published_name(name, names)] for name in _whole(network)})
    return network.eval()


def is_sit(name: str | None) -> bool:
    """Whether a network, or a file, is named after SiT (Ma et al. 2024), whose clock runs back.

    Args:
        name: of the network or the file; None says nothing.
    """
    return bool(re.search(r"(?<![a-z])sit(?![a-z])", (name or "").lower()))


def _of_diffusers(path: str | Path, **given: Any) -> SavedNetwork:
    if unread := [name for name, value in given.items() if value is not None]:
        raise InvalidValueError(
            f"{', '.join(unread)}: {path} is a folder of diffusers, which says all of it itself; "
            f"leave it out."
        )
    return open_dit(path)


def _whole(network: PatchNetwork) -> dict[str, Tensor]:
    """The tensors of a network, where one that is published whole is not in parts."""
    tensors = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, Mix):
            module.whole(tensors, f"{name}.")
    return tensors


def _check_anchors(state: Mapping[str, Tensor]) -> None:
    """The tensors from whose shapes the rest follows."""
    if missing := [name for name in _ANCHORS if name not in state]:
        raise InvalidValueError(
            f"This is no checkpoint of DiT or FPDM, or an incomplete one: missing "
            f"{listed(missing)}; it has {listed(sorted(state))}."
        )
    for name, dimensions in _ANCHORS.items():
        if state[name].dim() != dimensions or not state[name].numel():
            raise InvalidValueError(
                f"{name} has shape {tuple(state[name].shape)}: must have {dimensions} dimensions."
            )


def _read_shapes(
    state: Mapping[str, Tensor],
    *,
    num_heads: int | None,
    num_classes: int | None,
    implicit: bool,
) -> dict[str, Any]:
    """The configuration that the shapes tell."""
    width, channels, patch, _ = state[_PATCHES].shape
    tokens, rows, outputs = state[_POSITIONS].shape[1], len(state[_LABELS]), len(state[_OUTPUT])
    grid = math.isqrt(tokens)
    if grid**2 != tokens:
        raise InvalidValueError(f"{_POSITIONS} has {tokens} positions: must be a square number.")
    if outputs not in (patch**2 * channels, 2 * patch**2 * channels):
        raise InvalidValueError(
            f"{_OUTPUT} has {outputs} rows: must be {patch**2 * channels}, or twice as many where "
            f"the variance is learned."
        )
    if num_classes is None:
        num_classes = rows - 1
    check_whole("num_classes", num_classes, minimum=0)
    if rows - num_classes not in (0, 1):
        raise InvalidValueError(
            f"{_LABELS} has {rows} rows: must be {num_classes} for num_classes={num_classes}, or "
            f"one more for no class."
        )
    inner = "block_fixed_point" if implicit else "blocks.0"
    hidden = next(iter(state.get(f"{inner}.mlp.fc1.weight", torch.empty(())).shape), 4 * width)
    config: dict[str, Any] = {
        "sample_size": grid * patch,
        "patch_size": patch,
        "in_channels": channels,
        "hidden_size": width,
        "num_heads": _heads(width) if num_heads is None else num_heads,
        "num_classes": num_classes,
        "has_null_class": rows > num_classes,
        "mlp_ratio": hidden / width,
        "learn_sigma": outputs > patch**2 * channels,
    }
    if implicit:
        return config | {
            "pre_depth": _depth(state, "blocks_pre."),
            "post_depth": _depth(state, "blocks_post."),
        }
    return config | {"depth": max(1, _depth(state, "blocks."))}


def _heads(width: int) -> int:
    if width in HEADS:
        return HEADS[width]
    if width % HEAD_SIZE:
        raise InvalidValueError(
            f"The width {width} is of no published network, and its number of attention heads "
            f"cannot be told from the shapes: say num_heads (--num-heads)."
        )
    return width // HEAD_SIZE


def _depth(state: Mapping[str, Tensor], prefix: str) -> int:
    pattern = re.compile(rf"{re.escape(prefix)}(\d{{1,3}})\.")
    found = [int(match[1]) for name in state if (match := pattern.match(name))]
    return max(found, default=-1) + 1


def _published_name(name: str, names: Mapping[str, str]) -> str:
    """What a tensor of ours is called there."""
    ours = next(prefix for prefix in names if name.startswith(prefix))
    theirs, rest = names[ours], name.removeprefix(ours)
    if "block" in theirs or theirs.startswith("final_layer"):
        for part, published in _IN_BLOCKS.items():
            rest = rest.replace(part, published)
    return theirs + rest


def _compare(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise unless the tensors are those expected, naming what is not."""
    missing = sorted(expected.keys() - state.keys())
    extra = sorted(state.keys() - expected.keys())
    shaped = [
        f"{name} is {tuple(tensor.shape)} and must be {expected[name]}"
        for name, tensor in state.items()
        if name in expected and tuple(tensor.shape) != expected[name]
    ]
    problems = [
        f"{what}: {listed(names)}"
        for what, names in (
            ("missing", missing),
            ("not known", extra),
            ("of a wrong shape", shaped),
        )
        if names
    ]
    if problems:
        raise InvalidValueError(f"The tensors do not make a network; {'; '.join(problems)}.")


def _is_sincos(positions: Tensor) -> bool:
    """Whether positions, (1, N, D), are the sines and cosines, up to rounding."""
    ours = sincos_positions(positions.shape[2], math.isqrt(positions.shape[1]))
    within = max(torch.finfo(positions.dtype).eps, 1e-6)
    return torch.allclose(positions.float(), ours, rtol=0, atol=within)
