"""Arithmetic on a batch of independent samples: the first dimension is the batch.

A number per sample is (B,); a scalar state is a batch of one. Norms hold at every scale that the
state can have: no square leaves its range.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

NORMAL = 1e-14, 1e14
"""Between these a norm in float32 has neither lost small squares nor overflown."""


class Layout(NamedTuple):
    """How the samples of a batch lie in memory, so that a state is seen as rows without a copy.

    Attributes:
        shape: of the state, (B, ...).
        order: its dimensions from the outermost in memory to the innermost, the batch first.
    """

    shape: torch.Size
    order: tuple[int, ...]

    @classmethod
    def of(cls, z: Tensor) -> Layout:
        """The layout of a state, (B, ...).

        Args:
            z: the state, (B, ...).
        """
        extent = {dim: z.stride(dim) if z.shape[dim] > 1 else 0 for dim in range(1, z.dim())}
        inner = sorted(extent, key=extent.__getitem__, reverse=True)
        return cls(z.shape, (0, *inner) if z.dim() else ())

    def rows(self, z: Tensor) -> Tensor:
        """One row per sample: (B, ...) → (B, D).

        Args:
            z: a state that lies in memory as this says, (B, ...).

        Returns:
            (B, D), D the elements of a sample in the order of the memory.
        """
        size = self.shape[0] if self.shape else 1
        return z.permute(self.order).reshape(size, math.prod(self.shape[1:]))

    def state(self, rows: Tensor) -> Tensor:
        """The way back: (B, D) → (B, ...), laid out as the state was.

        Args:
            rows: as `rows` gives them, (B, D).

        Returns:
            (B, ...).
        """
        lying = rows.reshape([self.shape[dim] for dim in self.order])
        return lying.permute([self.order.index(dim) for dim in range(len(self.order))])


def arrange(z: Tensor, *, like: Tensor) -> Tensor:
    """`z` in the memory format of `like`, a state of the same shape.

    Args:
        z: (B, ...).
        like: (B, ...).

    Returns:
        A tensor of the shape of `like`: `z` itself where it lies so already.
    """
    copied = torch.empty_like(like, device="meta").stride()  # the same, but without gaps
    return z if z.stride() in (like.stride(), copied) else torch.empty_like(like).copy_(z)


def rows(z: Tensor) -> Tensor:
    """One row per sample, elements in logical order: (B, ...) → (B, D).

    Args:
        z: a state of any rank, batch first; a scalar is a batch of one.

    Returns:
        (B, D).
    """
    return z.reshape(z.shape[0] if z.dim() else 1, math.prod(z.shape[1:]))


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which arithmetic on a state of `dtype` is done where it must not overflow.

    Args:
        dtype: of the state.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def widest(device: torch.device) -> torch.dtype:
    """The widest dtype of a device: float64, or float32 on MPS, which has nothing wider.

    Args:
        device: where tensors are made.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def finite(z: Tensor) -> Tensor:
    """Whether all of a sample is finite: (B, ...) → (B,).

    Args:
        z: a state of any rank, batch first.
    """
    if z.dtype == torch.float64 and z.numel():  # whose squares may leave the range
        return peak(z) < torch.inf  # NaN is not
    return norm(z) < torch.inf


def seen_finite(z: Tensor) -> bool:
    """Whether all of a state is finite, as far as can be seen without waiting for a device.

    Args:
        z: of any shape.
    """
    if z.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    total = look(z.detach().sum(dtype=wide(z.dtype)))  # which is not finite if anything is not
    return total is not None and math.isfinite(total)


def peak(z: Tensor) -> Tensor:
    """The largest absolute value of each sample: (B, ...) → (B,); NaN where there is one.

    Args:
        z: a state of any rank, batch first.
    """
    return _peak(Layout.of(z).rows(z))


def norm(z: Tensor) -> Tensor:
    """The Euclidean norm of each sample: (B, ...) → (B,), float64 (float32 on MPS).

    It is inf or NaN exactly where an element is: this is also how to see that.

    Args:
        z: a state of any rank, batch first.
    """
    if z.dim() > 1 and z.is_contiguous():
        return lengths(z.flatten(1))
    return lengths(Layout.of(z).rows(z))


def lengths(rows: Tensor) -> Tensor:
    """The Euclidean norm of each row of any shape: (..., D) → (...), float64 (float32 on MPS).

    Args:
        rows: of any shape and dtype, a row in the last dimension; the norms hold at every scale.

    Returns:
        Of the same shape, without the last dimension.
    """
    precise = widest(rows.device)
    if rows.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.linalg.vector_norm(rows, dim=-1, dtype=precise)
    # the processor would make a wide copy; a look at the result tells whether it was needed
    found = torch.linalg.vector_norm(rows, dim=-1, dtype=wide(rows.dtype))
    seen = look(found)
    if seen is not None and seen.size and not (NORMAL[0] < seen.min() and seen.max() < NORMAL[1]):
        odd = torch.from_numpy((~((seen > NORMAL[0]) & (seen < NORMAL[1]))).ravel().nonzero()[0])
        some = rows.reshape(found.numel(), rows.shape[-1])[odd]  # each as it would be alone
        peak = _peak(some)
        unit = torch.where((peak > 0) & (peak < torch.inf), peak, 1.0)
        exact = torch.linalg.vector_norm(some / unit[..., None], dim=-1, dtype=precise) * unit
        found = found.to(precise).flatten().index_copy(0, odd, exact).view_as(found)
    return found.to(precise)


def _peak(rows: Tensor) -> Tensor:
    """The largest absolute value of each row: (..., D) → (...); NaN where there is one."""
    if not rows.shape[-1]:
        return rows.new_zeros(rows.shape[:-1], dtype=widest(rows.device))
    return torch.linalg.vector_norm(rows, ord=torch.inf, dim=-1).to(widest(rows.device))


def relative(gap: Tensor, image: Tensor) -> Tensor:
    """`gap / ‖image‖` for each sample; (B,), image (B, ...).

    Args:
        gap: `‖f(z) - z‖`, (B,).
        image: `f(z)`, (B, ...).

    Returns:
        (B,); 0 where the gap is 0, and `inf` where there is no such number.
    """
    return ratio(gap, norm(image.detach()))


def ratio(gap: Tensor, size: Tensor) -> Tensor:
    """`gap / size` for each sample, each (B,).

    Args:
        gap: `‖f(z) - z‖`, (B,).
        size: `‖f(z)‖`, (B,).

    Returns:
        (B,); 0 where the gap is 0, and `inf` where there is no such number.
    """
    return (gap / size).nan_to_num(nan=torch.inf, posinf=torch.inf).masked_fill(gap == 0, 0)


def spread(number: Tensor, like: Tensor) -> Tensor:
    """A number per sample, (B,), shaped to meet the state `like`, (B, ...).

    Args:
        number: (B,).
        like: (B, ...).
    """
    return number.reshape(-1, *[1] * (like.dim() - 1)) if like.dim() else number[0]


def select(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """`chosen` for the samples where `mask`, (B,), holds, `other` for the rest.

    On the CPU, where to look at the mask is to wait for nothing, one of the two is returned as it
    is if it is chosen for all.

    Args:
        mask: (B,), bool.
        chosen: (B, ...).
        other: (B, ...).

    Returns:
        (B, ...).
    """
    if seen_to_hold(mask):
        return chosen
    if seen_to_fail(mask):
        return other
    return torch.where(spread(mask, chosen), chosen, other)


def seen_to_hold(mask: Tensor) -> bool:
    """Whether `mask` is True throughout, as far as can be seen without waiting for a device.

    Args:
        mask: of any shape, bool.
    """
    seen = look(mask)
    return seen is not None and bool(seen.all())


def seen_to_fail(mask: Tensor) -> bool:
    """Whether `mask` is False throughout, as far as can be seen without waiting for a device.

    Args:
        mask: of any shape, bool.
    """
    seen = look(mask)
    return seen is not None and not seen.any()


def look(tensor: Tensor) -> NDArray[Any] | None:
    """What stands in a tensor, where nothing waits for it; None where something would.

    On the CPU to look costs nothing. Of another device, under a compiler and under a transform of
    torch.func there is nothing to see.

    Args:
        tensor: of any shape, without a graph.

    Returns:
        An array of the same shape, or None.
    """
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    try:
        return tensor.numpy()
    except RuntimeError:  # under a transform
        return None
