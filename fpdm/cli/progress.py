"""Progress bars: on a terminal one that moves, elsewhere a few lines, and under `--quiet` none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from fpdm.cli import console

if TYPE_CHECKING:
    from tqdm import tqdm

LINES = 20
"""How many lines a bar has where nobody sees it move, beside the first and the last."""

LINE = "{l_bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
SELDOM = 30.0
"""Seconds between the lines of a bar that is not ours."""


def bar(**options: Any) -> tqdm[Any]:
    """A progress bar on standard error.

    Args:
        options: of tqdm: `iterable`, `total`, `initial`, `desc`, `unit`, `disable` and others.

    Returns:
        The bar.
    """
    from tqdm import tqdm

    if console.is_quiet():
        options["disable"] = True
    if sys.stderr.isatty():
        return tqdm(**options)
    return _lines()(**options, mininterval=0, maxinterval=float("inf"), bar_format=LINE)


def follow_timesteps(pipe: Any) -> None:
    """Set the bar that a pipeline shows for the timesteps of a run.

    Args:
        pipe: the pipeline.
    """
    if console.is_quiet():
        pipe.set_progress_bar_config(disable=True)
    elif not sys.stderr.isatty():
        pipe.set_progress_bar_config(mininterval=SELDOM, maxinterval=SELDOM)


def _lines() -> type[tqdm[Any]]:
    from tqdm import tqdm

    class Lines(tqdm):
        """A bar of whole lines, as many whatever its length."""

        disable: bool

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._seldom()

        def _seldom(self) -> None:
            if not self.disable:
                self.dynamic_miniters = False
                self.miniters = max(1, int(self.total or 0) // LINES)

        def update(self, n: float | None = 1) -> bool | None:
            self._seldom()  # the total may be known by now
            return super().update(n)

        @staticmethod
        def status_printer(file: Any) -> Any:
            def write(line: str) -> None:
                if line:
                    file.write(f"{line}\n")
                    file.flush()

            return write

        def close(self) -> None:
            if not self.disable:
                if self.n != self.last_print_n:
                    self.refresh()
                self.disable = True
                self._decr_instances(self)

    return Lines
