"""Single latents out of many shards, of which a few are open at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen
from safetensors import safe_open
from torch import Tensor

from fpdm.data.shards import DAMAGED
from fpdm.errors import InvalidValueError

OPEN = 16


@frozen(eq=False)
class OpenShards:
    """Shards that are opened where they are read; a copy in another process opens its own.

    Args:
        paths: the files.
    """

    paths: Sequence[Path]
    _open: OrderedDict[int, Any] = field(init=False, factory=OrderedDict, repr=False)

    def row(self, shard: int, tensor: str, position: int) -> Tensor:
        """Read one row of a tensor, without the rest of the file.

        Args:
            shard: which of the files, from 0.
            tensor: its name: `latents`, `flipped` or `labels`.
            position: of the row, from 0.

        Returns:
            The row, (C, h, h), (2C, h, h) or ().

        Raises:
            InvalidValueError: the file is missing or damaged.
        """
        try:
            return self._opened(shard).get_slice(tensor)[position]
        except Exception as error:  # a damaged file fails in many ways
            raise InvalidValueError(f"{self.paths[shard]} {DAMAGED}") from error

    def _opened(self, shard: int) -> Any:
        if shard not in self._open:
            self._open[shard] = safe_open(self.paths[shard], "pt")
        self._open.move_to_end(shard)
        if len(self._open) > OPEN:
            self._open.popitem(last=False)
        return self._open[shard]

    def __getstate__(self) -> tuple[Sequence[Path]]:
        return (self.paths,)

    def __setstate__(self, state: tuple[Sequence[Path]]) -> None:
        self.__init__(*state)  # type: ignore[misc]
