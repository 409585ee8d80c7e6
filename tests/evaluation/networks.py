"""Small networks in TorchScript files, as somebody else would have written them."""

import warnings
from pathlib import Path

import torch
from torch import nn


class Counted(nn.Module):
    """Means of the channels, over 255; it takes 299 × 299 and nothing else."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.dtype != torch.uint8 or images.shape[1:] != (3, 299, 299):
            raise RuntimeError("it takes 3 × 299 × 299")
        return images.float().mean(dim=(2, 3)) / 255


class Flagged(nn.Module):
    """As the usual file: any size, and features only where they are asked for."""

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        flat = images.to(torch.float64).flatten(1)
        if return_features:
            return flat
        return flat.mean(dim=1, keepdim=True)


class Pair(nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images


class Single(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean().reshape(1, 1)


class Broken(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.double().flatten(1).log()


def script(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(network), str(path))
    return path
