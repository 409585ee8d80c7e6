"""The noising of Ho et al. 2020 in float64, and noise."""

import numpy as np
import torch

ALPHAS = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def terminal(alphas: np.ndarray = ALPHAS) -> np.ndarray:
    """Cumulative alphas with zero terminal SNR (Lin et al. 2024, algorithm 1)."""
    root = np.sqrt(alphas)
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return root**2


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
