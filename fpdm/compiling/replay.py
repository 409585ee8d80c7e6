"""A compiled timestep recorded as a CUDA graph: all of it is launched at once."""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fpdm.compiling.leaves import mapped, tensors

WARMING = 2
"""Calls before a recording, in which libraries set themselves up."""

Recorded = tuple[Any, Callable[[], None]]
"""What a function has returned, and what computes it anew, in the same place."""


class Recorder(Protocol):
    """What records functions."""

    def record(self, function: Callable[[], Any]) -> Recorded:
        """Record a function.

        Args:
            function: of no arguments; what it reads stays where it is.

        Returns:
            What it has returned, and what computes it anew.
        """

    def turn(self) -> AbstractContextManager[None]:
        """A turn at what was recorded.

        Returns:
            A context: while it is entered, nobody else uses it.
        """


class CudaGraphs:
    """Records functions as CUDA graphs, which share the memory in which they compute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: Any = None
        self._done: Any = None

    def record(self, function: Callable[[], Any]) -> Recorded:
        """Record what a function launches.

        Args:
            function: of no arguments; what it reads stays where it is.

        Returns:
            What it has returned, and what launches it again.
        """
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARMING):
                function()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            returned = function()
        self._pool = self._pool or graph.pool()
        return returned, graph.replay

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for whoever uses a graph, on this thread and on the device.

        Returns:
            A context: while it is entered, nobody else does.
        """
        with self._lock:
            if self._done is not None:
                torch.cuda.current_stream().wait_event(self._done)
            yield
            self._done = torch.cuda.current_stream().record_event()


class Replay:
    """A function that is recorded once, and then replayed on buffers of its own.

    What it is given is copied into the buffers, and what it returns is copied out of them, so that
    runs that take turns do not see each other's. What it overwrites and returns is lent instead:
    while the same comes back at the next call, it is where it has to be, and is not copied at all.
    Where weights have moved, it is recorded again.

    Args:
        function: of tensors, and of values that hold some; nothing else in them may change.
        reads: the module whose weights it reads.
        recorder: records it.
    """

    def __init__(self, function: Callable[..., Any], reads: nn.Module, recorder: Recorder) -> None:
        self.function = function
        self.reads = reads
        self.recorder = recorder
        self._places: list[int] = []
        self._buffers = Buffers([])
        self._recorded: Recorded | None = None
        self._refused = False

    def __call__(self, *given: Any) -> Any:
        """Call the function.

        Args:
            given: its arguments; their tensors have the shapes of the first ones.

        Returns:
            What it returns.
        """
        if self._refused:
            return self.function(*given)
        with self.recorder.turn():
            places = [each.data_ptr() for each in self._weights()]
            if self._recorded is None or places != self._places:
                self._places = places
                self._record(given)
            if self._recorded is None:
                return self.function(*given)
            self._buffers.fill(tensors(given))
            returned, replay = self._recorded
            replay()
            return mapped(returned, self._buffers.hand_out)

    def _weights(self) -> list[Tensor]:
        return [*self.reads.parameters(), *self.reads.buffers()]

    def _record(self, given: tuple[Any, ...]) -> None:
        self._recorded = None  # what was recorded before makes room
        buffered = mapped(given, torch.clone)
        self._buffers = Buffers(tensors(buffered))
        self.function(*buffered)  # compiled here, where an error is its own
        try:
            self._recorded = self.recorder.record(lambda: self.function(*buffered))
        except RuntimeError as error:  # what cannot be recorded is computed all the same
            self._refused = True
            warnings.warn(
                f"The compiled timestep cannot be recorded as a CUDA graph, and is launched piece "
                f"by piece: {str(error).splitlines()[0]}",
                UserWarning,
                stacklevel=2,
            )


class Buffers:
    """The tensors that a recorded function reads, and those that it overwrites.

    Args:
        tensors: of any shapes; none of them shares memory with another.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self._at = {each.data_ptr(): index for index, each in enumerate(tensors) if each.numel()}
        self._lent: dict[int, weakref.ref[Tensor]] = {}

    def fill(self, given: list[Tensor]) -> None:
        """Put something in each; what was lent and is not among it moves to a place of its own.

        Args:
            given: one tensor for each, of its shape.
        """
        for index, (buffer, tensor) in enumerate(zip(self.tensors, given, strict=True)):
            borrowed = self._lent.pop(index, lambda: None)()
            if borrowed is not None and borrowed is tensor:
                continue
            if borrowed is not None:
                borrowed.data = buffer.clone()
            buffer.copy_(tensor)

    def hand_out(self, made: Tensor) -> Tensor:
        """Hand something on that the function has made: a copy of it, or a buffer on loan.

        Args:
            made: of any shape.

        Returns:
            The same, of its shape.
        """
        index = self._at.get(made.data_ptr())
        if index is None or index in self._lent or not _alike(made, self.tensors[index]):
            return made.clone()
        lent = made.detach()
        self._lent[index] = weakref.ref(lent)
        return lent


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether tensors in the same place are the same."""
    return (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
