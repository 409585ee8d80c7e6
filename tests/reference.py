"""Both networks in float64, written from the equations and from nothing else.

Weights come in as a state dict of the network under test; the arithmetic is numpy's.
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def weights_of(model) -> dict[str, Array]:
    """The weights of a network, the first layer of its iterated block in one piece."""
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    mix = "denoiser.layer.block.mix"
    if f"{mix}.state.weight" in weights:
        parts = [weights[f"{mix}.{part}.weight"] for part in ("state", "injection")]
        weights[f"{mix}.weight"] = np.concatenate(parts, axis=1)
        weights[f"{mix}.bias"] = weights[f"{mix}.injection.bias"]
    return weights


def linear(x: Array, weights: dict[str, Array], name: str) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def layer_norm(x: Array) -> Array:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6)


def attention(x: Array, weights: dict[str, Array], name: str, heads: int) -> Array:
    dim = x.shape[-1]
    query, key, value = np.split(linear(x, weights, f"{name}.qkv"), 3, axis=-1)
    out = np.zeros_like(x)
    size = dim // heads
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        scores = query[..., part] @ key[..., part].transpose(0, 2, 1) / math.sqrt(size)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        out[..., part] = scores / scores.sum(-1, keepdims=True) @ value[..., part]
    return linear(out, weights, f"{name}.proj")


def block(x: Array, cond: Array, weights: dict[str, Array], name: str, heads: int) -> Array:
    modulation = linear(silu(cond), weights, f"{name}.modulation")[:, None, :]
    shift1, scale1, gate1, shift2, scale2, gate2 = np.split(modulation, 6, axis=-1)
    x = x + gate1 * attention(layer_norm(x) * (1 + scale1) + shift1, weights, f"{name}.attn", heads)
    hidden = gelu_tanh(linear(layer_norm(x) * (1 + scale2) + shift2, weights, f"{name}.mlp.0"))
    return x + gate2 * linear(hidden, weights, f"{name}.mlp.2")


def fixed_point_map(
    z: Array, features: Array, cond: Array, weights: dict[str, Array], name: str, heads: int
) -> Array:
    injection = linear(features, weights, f"{name}.injection")
    both = np.concatenate([z, injection], axis=-1)
    mixed = gelu_tanh(linear(both, weights, f"{name}.mix"))
    return block(linear(mixed, weights, f"{name}.narrow"), cond, weights, f"{name}.block", heads)


def timestep_embedding(t: Array, weights: dict[str, Array], name: str) -> Array:
    frequencies = np.array([10000.0 ** (-i / 128) for i in range(128)])
    angle = t[:, None] * frequencies
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    return linear(silu(linear(waves, weights, f"{name}.mlp.0")), weights, f"{name}.mlp.2")


def positions(dim: int, grid: int) -> Array:
    omega = 1 / 10000.0 ** (np.arange(dim // 4) / (dim // 4))

    def axis(position: int) -> Array:
        return np.concatenate([np.sin(position * omega), np.cos(position * omega)])

    return np.stack(
        [np.concatenate([axis(column), axis(row)]) for row in range(grid) for column in range(grid)]
    )


def patchify(x: Array, weights: dict[str, Array], name: str, patch: int) -> Array:
    batch, _, height, width = x.shape
    kernel = weights[f"{name}.weight"].reshape(len(weights[f"{name}.weight"]), -1)
    tokens = [
        x[:, :, r : r + patch, c : c + patch].reshape(batch, -1) @ kernel.T
        for r in range(0, height, patch)
        for c in range(0, width, patch)
    ]
    return np.stack(tokens, axis=1) + weights[f"{name}.bias"]


def final_layer(z: Array, cond: Array, weights: dict[str, Array], name: str) -> Array:
    shift, scale = np.split(linear(silu(cond), weights, f"{name}.modulation")[:, None], 2, axis=-1)
    return linear(layer_norm(z) * (1 + scale) + shift, weights, f"{name}.linear")


def unpatchify(tokens: Array, patch: int, channels: int) -> Array:
    batch, count, _ = tokens.shape
    grid = math.isqrt(count)
    image = np.zeros((batch, channels, grid * patch, grid * patch))
    for index in range(count):
        row, column = divmod(index, grid)
        square = tokens[:, index].reshape(batch, patch, patch, channels).transpose(0, 3, 1, 2)
        rows, columns = (
            slice(row * patch, row * patch + patch),
            slice(column * patch, column * patch + patch),
        )
        image[:, :, rows, columns] = square
    return image


def conditions(
    t: Array, y: NDArray[np.int64], weights: dict[str, Array], timestep_in_explicit: bool
) -> tuple[Array, Array]:
    label = weights["embeddings.label.weight"][y]
    full = timestep_embedding(t, weights, "embeddings.timestep") + label
    return full, full if timestep_in_explicit else label


def fpdit(
    x: Array,
    t: Array,
    y: NDArray[np.int64],
    weights: dict[str, Array],
    *,
    config: dict,
    evals: int,
) -> Array:
    """FPDiT with `evals` plain iterations from its features."""
    full, explicit = conditions(t, y, weights, config["condition_pre_post_on_timestep"])
    heads, patch = config["num_heads"], config["patch_size"]
    h = patchify(x, weights, "denoiser.pre.patches", patch)
    h = h + positions(config["hidden_size"], config["sample_size"] // patch)
    for i in range(config["pre_depth"]):
        h = block(h, explicit, weights, f"denoiser.pre.blocks.{i}", heads)
    z = h
    for _ in range(evals):
        z = fixed_point_map(z, h, full, weights, "denoiser.layer.block", heads)
    for i in range(config["post_depth"]):
        z = block(z, explicit, weights, f"denoiser.post.blocks.{i}", heads)
    tokens = final_layer(z, explicit, weights, "denoiser.post.final")
    return unpatchify(tokens, patch, config["in_channels"] * (2 if config["learn_sigma"] else 1))


def dit(
    x: Array, t: Array, y: NDArray[np.int64], weights: dict[str, Array], *, config: dict
) -> Array:
    """DiT."""
    cond, _ = conditions(t, y, weights, True)
    heads, patch = config["num_heads"], config["patch_size"]
    h = patchify(x, weights, "encoder.patches", patch)
    h = h + positions(config["hidden_size"], config["sample_size"] // patch)
    for i in range(config["depth"]):
        h = block(h, cond, weights, f"encoder.blocks.{i}", heads)
    tokens = final_layer(h, cond, weights, "decoder.final")
    return unpatchify(tokens, patch, config["in_channels"] * (2 if config["learn_sigma"] else 1))
