"""Being asked to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from fpdm.errors import FPDMError

EXIT_CODES: dict[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 130}
"""How a process ends that was asked to; a scheduler that sends SIGTERM wants no failure."""


class Stopped(FPDMError):  # noqa: N818 (no error)
    """A training was asked to stop, and has done so at the end of a step.

    Args:
        message: what to say.
        exit_code: 0 after SIGTERM, 130 after SIGINT.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Signals:
    """A context in which SIGTERM and SIGINT are noted, and the work goes on.

    A second SIGINT is a `KeyboardInterrupt` as always.

    Attributes:
        received: the number of the last signal; 0 if there was none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # no other may have handlers
            self._before = {number: signal.signal(number, self._note) for number in EXIT_CODES}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
