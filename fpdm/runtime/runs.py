"""What the parts of a network keep from one timestep to the next, which belongs to the run."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_KEPT: ContextVar[dict[Hashable, Any] | None] = ContextVar("fpdm_kept", default=None)


@contextmanager
def in_run(kept: dict[Hashable, Any]) -> Iterator[None]:
    """A timestep of a run.

    Args:
        kept: by the run, which hands it to each of its timesteps, and to nobody else.
    """
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept_by(part: Hashable) -> dict[Any, Any]:
    """What a part of a network has kept in this run, to read and to write.

    Args:
        part: of the network.

    Returns:
        What it has put there at earlier timesteps; outside of a run an empty one, kept by nobody.

    Examples:
        >>> run = {}
        >>> with in_run(run): kept_by("block")["timestep"] = 3
        >>> with in_run(run): kept_by("block")
        {'timestep': 3}
        >>> kept_by("block")
        {}
    """
    kept = _KEPT.get()
    found: dict[Any, Any] = {} if kept is None else kept.setdefault(part, {})
    return found
