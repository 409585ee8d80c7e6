"""Runs that are told to end, each for itself, also where several of one pipeline are at work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType


class Interrupt:
    """Whether one run is to end after its timestep.

    Attributes:
        raised: whether it is.
    """

    def __init__(self) -> None:
        self.raised = False


_HERE: ContextVar[Mapping[int, Interrupt]] = ContextVar("fpdm_runs", default=MappingProxyType({}))
"""Of the runs around the code that asks, by the pipeline: threads and nested runs differ."""


class Interrupts:
    """Those of a pipeline, of which any number of runs may be at work."""

    def __init__(self) -> None:
        self.at_work: list[Interrupt] = []
        self.last = Interrupt()

    @contextmanager
    def run(self) -> Iterator[Interrupt]:
        """Begin a run, which nobody has told to end; it is over where this is left.

        Yields:
            Whether it is to end.
        """
        own = Interrupt()
        self.at_work.append(own)
        token = _HERE.set({**_HERE.get(), id(self): own})
        try:
            yield own
        finally:
            _HERE.reset(token)
            self.at_work.remove(own)
            self.last = own

    @property
    def raised(self) -> bool:
        """Whether the run around the caller is to end; outside of one, whether the last was."""
        return _HERE.get().get(id(self), self.last).raised

    def set(self, value: bool) -> None:
        """Tell the run around the caller to end, or not to; outside of one, all that are at work.

        Args:
            value: whether to end.
        """
        own = _HERE.get().get(id(self))
        for each in self.at_work if own is None else [own]:
            each.raised = value


class Interruptible:
    """Gives a pipeline what callbacks of diffusers end a run with."""

    _interrupts: Interrupts

    @property
    def interrupt(self) -> bool:
        """Whether a callback has set `_interrupt`, to end the run after its timestep."""
        return self._interrupts.raised

    @property
    def _interrupt(self) -> bool:
        return self._interrupts.raised

    @_interrupt.setter
    def _interrupt(self, value: bool) -> None:
        self._interrupts.set(value)
