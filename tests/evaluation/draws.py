"""Samples whose distances are known."""

import numpy as np


def gaussian(seed: int, count: int, size: int, *, shift: float = 0.0) -> np.ndarray:
    """Standard normal samples, (count, size), moved by `shift` in every direction."""
    return np.random.default_rng(seed).normal(size=(count, size)) + shift


def rotation(seed: int, size: int) -> np.ndarray:
    """An orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
