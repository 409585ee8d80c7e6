"""Where a token stands, as sines and cosines."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_PERIOD = 10_000


def sincos_positions(dim: int, rows: int, columns: int | None = None) -> Tensor:
    """The position embeddings of a grid of tokens in row-major order; (1, rows · columns, dim).

    The column fills the first half of the channels, the row the second; each half is `[sin, cos]`.
    Source: Vaswani et al. 2017, in two dimensions as Chen, Xie and He 2021 have them.

    Args:
        dim: width D, a multiple of 4.
        rows: tokens in a column.
        columns: tokens in a row; as many if not given.
    """
    columns = rows if columns is None else columns
    omega = MAX_PERIOD ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))

    def axis(count: int) -> Tensor:
        angle = torch.arange(count, dtype=torch.float64)[:, None] * omega  # (count, dim / 4)
        return torch.cat([angle.sin(), angle.cos()], dim=1)  # (count, dim / 2)

    across = axis(columns)[None, :, :].expand(rows, -1, -1)
    down = axis(rows)[:, None, :].expand(-1, columns, -1)
    return torch.cat([across, down], dim=2).reshape(1, rows * columns, dim).float()
