"""Checkpoints with the published names, built from random tensors."""

import torch

import fpdm
from tests import reference

BLOCK = {
    "attn.qkv": (3, 1),
    "attn.proj": (1, 1),
    "mlp.fc1": (4, 1),
    "mlp.fc2": (1, 4),
    "adaLN_modulation.1": (6, 1),
}


def linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def block(name: str, dim: int) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for part, (outputs, inputs) in BLOCK.items():
        shapes |= linear(f"{name}.{part}", outputs * dim, inputs * dim)
    return shapes


def shapes(
    kind: str, *, dim=64, patch=2, grid=2, channels=4, rows=4, outputs=8, depth=3, pre=1, post=2
) -> dict[str, tuple[int, ...]]:
    found = {
        "pos_embed": (1, grid * grid, dim),
        "x_embedder.proj.weight": (dim, channels, patch, patch),
        "x_embedder.proj.bias": (dim,),
        **linear("t_embedder.mlp.0", dim, 256),
        **linear("t_embedder.mlp.2", dim, dim),
        "y_embedder.embedding_table.weight": (rows, dim),
        **linear("final_layer.linear", patch * patch * outputs, dim),
        **linear("final_layer.adaLN_modulation.1", 2 * dim, dim),
    }
    if kind == "dit":
        for i in range(depth):
            found |= block(f"blocks.{i}", dim)
        return found
    for i in range(pre):
        found |= block(f"blocks_pre.{i}", dim)
    for i in range(post):
        found |= block(f"blocks_post.{i}", dim)
    return {
        **found,
        **linear("block_pre_projection", dim, dim),
        **linear("block_fixed_point_projection_fc1", 2 * dim, 2 * dim),
        **linear("block_fixed_point_projection_fc2", dim, 2 * dim),
        **block("block_fixed_point", dim),
    }


def positions(dim: int, grid: int) -> torch.Tensor:
    return torch.from_numpy(reference.positions(dim, grid)).float()[None]


def state(kind: str, *, seed: int = 0, dtype=torch.float32, **sizes) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    found = {
        name: (0.1 * torch.randn(shape, generator=rng)).to(dtype)
        for name, shape in shapes(kind, **sizes).items()
    }
    found["pos_embed"] = positions(sizes.get("dim", 64), sizes.get("grid", 2)).to(dtype)
    return found


def reference_weights(kind: str, published: dict[str, torch.Tensor]) -> dict:
    """The same tensors under the names of `reference.py`, by a mapping of this file's own."""
    pre, post = ("encoder", "decoder") if kind == "dit" else ("denoiser.pre", "denoiser.post")
    renamed = {
        "x_embedder.proj": f"{pre}.patches",
        "t_embedder.mlp": "embeddings.timestep.mlp",
        "y_embedder.embedding_table": "embeddings.label",
        "final_layer.linear": f"{post}.final.linear",
        "final_layer.adaLN_modulation.1": f"{post}.final.modulation",
        "blocks_pre": "denoiser.pre.blocks",
        "blocks_post": "denoiser.post.blocks",
        "blocks": "encoder.blocks",
        "block_pre_projection": "denoiser.layer.block.injection",
        "block_fixed_point_projection_fc1": "denoiser.layer.block.mix",
        "block_fixed_point_projection_fc2": "denoiser.layer.block.narrow",
        "block_fixed_point": "denoiser.layer.block.block",
    }
    found = {}
    for name, value in published.items():
        old = next((old for old in renamed if name.startswith(f"{old}.")), None)
        if old is not None:
            rest = name.removeprefix(old)
            rest = rest.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.2")
            rest = rest.replace("adaLN_modulation.1", "modulation")
            found[renamed[old] + rest] = value.double().numpy()
    return found


def network(kind: str) -> type:
    return fpdm.DiT if kind == "dit" else fpdm.FPDiT
