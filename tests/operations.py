"""Operations that a piece of code sends to the device, counted: on a GPU each is a launch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

FREE = {"aten::detach", "aten::alias", "aten::lift_fresh", "aten::_unsafe_view"}
"""What touches no data, beside the operations whose schema says that they are views."""


class Operations(TorchDispatchMode):
    """Counts what is dispatched while it is entered, views left out.

    Attributes:
        seen: how often each operation was dispatched, by its name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name
        if name not in FREE and not _is_view(func):
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))

    @property
    def count(self) -> int:
        """How many there were."""
        return self.seen.total()


def operations(run: Callable[[], object]) -> Counter[str]:
    """What `run` dispatches without gradients, views left out."""
    with torch.no_grad(), Operations() as counted:
        run()
    return counted.seen


def _is_view(func: Any) -> bool:
    """Whether all that comes out shares memory with what goes in, and nothing is written."""
    returned = [each.alias_info for each in func._schema.returns]
    return bool(returned) and all(info is not None and not info.is_write for info in returned)
