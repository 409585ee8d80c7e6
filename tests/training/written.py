"""Elements that a piece of code writes, counted: what it costs, whatever the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from numpy.random import PCG64DXSM
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fpdm.training import draws


class Written(TorchDispatchMode):
    """Counts the elements of all that operations return while it is entered; views are free.

    Attributes:
        elements: how many.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not any(each.alias_info and not each.alias_info.is_write for each in returned(func)):
            self.elements += sum(x.numel() for x in tree_leaves(out) if isinstance(x, Tensor))
        return out


def returned(func: Any) -> list[Any]:
    return list(func._schema.returns)


def written(run: Callable[[], object]) -> int:
    """Elements that torch writes, and words that numpy draws, while `run` runs."""
    drawn = 0

    class Counted(PCG64DXSM):
        def random_raw(self, size: Any = None, output: bool = True) -> Any:
            nonlocal drawn
            words = super().random_raw(size, output)
            drawn += words.size
            return words

    with pytest.MonkeyPatch.context() as patched, Written() as counted:
        patched.setattr(draws, "PCG64DXSM", Counted)
        run()
    return counted.elements + drawn
