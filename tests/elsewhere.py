"""In the place of a GPU: tensors without data, and what is done with them, noted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("meta")

BETWEEN = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}
"""What may take tensors of two devices."""


class Elsewhere(TorchDispatchMode):
    """Sees which operations would fail on a GPU, or wait for it.

    Attributes:
        mixed: operations that were given tensors of two devices.
        looks: how often something was fetched from the device; what is fetched is all ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mixed: list[str] = []
        self.looks = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [*_tensors(args), *_tensors((kwargs or {}).values())]
        if len({each.device for each in given}) > 1 and func not in BETWEEN:
            self.mixed.append(str(func))
        to = torch.device((kwargs or {}).get("device") or DEVICE)
        if func is torch.ops.aten._to_copy.default and given[0].device == DEVICE != to:
            self.looks += 1
            return torch.ones(given[0].shape, dtype=given[0].dtype)
        return func(*args, **(kwargs or {}))


def _tensors(values: Any) -> Iterator[Tensor]:
    for each in values:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from _tensors(each)
