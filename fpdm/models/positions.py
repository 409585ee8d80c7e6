"""Where a token stands, as sines and cosines."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_PERIOD = 10_000


def sincos_positions(dim: int, grid: int) -> Tensor:
    """The position embeddings of a square grid of tokens in row-major order; (1, grid², dim).

    The column fills the first half of the channels, the row the second; each half is `[sin, cos]`.
    Source: Vaswani et al. 2017, in two dimensions as Chen, Xie and He 2021 have them.

    Args:
        dim: width D, a multiple of 4.
        grid: tokens in a row, and in a column.
    """
    omega = MAX_PERIOD ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    angle = torch.arange(grid, dtype=torch.float64)[:, None] * omega  # (grid, dim / 4)
    axis = torch.cat([angle.sin(), angle.cos()], dim=1)  # (grid, dim / 2)
    columns = axis[None, :, :].expand(grid, -1, -1)
    rows = axis[:, None, :].expand(-1, grid, -1)
    return torch.cat([columns, rows], dim=2).reshape(1, grid * grid, dim).float()
