"""Samples that are in memory, of any shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm.checks import check_labels
from fpdm.data.bounds import check_bounds
from fpdm.data.dataset import Batch, Dataset, Shape
from fpdm.errors import InvalidValueError

WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def _shown(tensor: Tensor | None) -> str:
    return "None" if tensor is None else f"<{tuple(tensor.shape)}>"


def _real(value: Any) -> Tensor:
    found = torch.as_tensor(value)
    if not found.is_floating_point():
        raise InvalidValueError(
            f"samples, condition: a tensor of {found.dtype}: must be of real numbers; images of "
            f"bytes are `images / 127.5 - 1`."
        )
    return found.to("cpu", torch.float32)


def _real_or_none(value: Any) -> Tensor | None:
    return None if value is None else _real(value)


def _labels(value: Any) -> Tensor | None:
    if value is None:
        return None
    found = torch.as_tensor(value).to("cpu")
    return found.long() if found.dtype in WHOLE else found


@frozen(eq=False)
class Tensors(Dataset):
    """Samples in memory, with their classes, or with what else each is known by, or with neither.

    A network learns best what is about as large as standard normal noise: images in [-1, 1], tables
    and points with a mean of 0 and a deviation near 1, or less.

    Args:
        samples: (N, C, …): points (N, C), signals (N, C, L), images (N, C, H, W), volumes
            (N, C, D, H, W); anything that `torch.as_tensor` takes, of real numbers.
        labels: the class of each, (N,), whole numbers from 0; None without classes.
        condition: what else each is known by, (N, K), or (N, T, K) for sequences of tokens.
        num_classes: how many classes; one more than the largest label if not given.
        class_names: by number.

    Raises:
        InvalidValueError: they are not as many as there are samples, or hold something else.

    Examples:
        >>> import torch
        >>> data = Tensors(torch.randn(100, 2), labels=torch.arange(100) % 3)
        >>> data.shape.sample, data.shape.num_classes
        ((2,), 3)
    """

    samples: Tensor = field(converter=_real, repr=_shown)
    labels: Tensor | None = field(default=None, converter=_labels, repr=_shown)
    condition: Tensor | None = field(
        default=None, converter=_real_or_none, repr=_shown, kw_only=True
    )
    num_classes: int = field(kw_only=True)
    class_names: Mapping[int, str] = field(factory=dict, kw_only=True)

    @num_classes.default
    def _count(self) -> int:
        return 0 if self.labels is None or not len(self.labels) else int(self.labels.max()) + 1

    def __attrs_post_init__(self) -> None:
        if self.samples.dim() < 2 or not len(self.samples):
            raise InvalidValueError(
                f"samples have shape {_shown(self.samples)}: must be (N, C, …), N ≥ 1; points in "
                f"the plane are (N, 2)."
            )
        for name, rows in {"labels": self.labels, "condition": self.condition}.items():
            if rows is not None and len(rows) != len(self.samples):
                raise InvalidValueError(
                    f"{name}: {len(rows)} for {len(self.samples)} samples; must be one for each."
                )
        if self.labels is not None:
            check_labels(self.labels, last=self.num_classes - 1)
        if self.condition is not None and self.condition.dim() not in (2, 3):
            raise InvalidValueError(
                f"condition has shape {_shown(self.condition)}: must be (N, K) or (N, T, K)."
            )
        for name, values in {"samples": self.samples, "condition": self.condition}.items():
            if values is not None and not values.isfinite().all():
                raise InvalidValueError(f"{name} hold NaN or inf: must be finite.")

    @property
    def shape(self) -> Shape:
        """The sizes that a network takes from it."""
        channels, *extents = self.samples.shape[1:]
        square = len(extents) == 2 and extents[0] == extents[1]
        return Shape(
            channels,
            extents[0] if square else tuple(extents),
            self.num_classes,
            self.class_names,
            condition_size=None if self.condition is None else tuple(self.condition.shape[1:]),
        )

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Take samples; nothing is drawn."""
        del seeds
        check_bounds("indices", indices, maximum=len(self) - 1)
        rows = [
            None if every is None else every.index_select(0, indices)
            for every in (self.labels, self.condition)
        ]
        return Batch(self.samples.index_select(0, indices), rows[0], condition=rows[1])
