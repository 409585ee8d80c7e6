"""Files of the data that could not be read: said, and written down."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from fpdm.errors import TrainingWarning, listed, shown
from fpdm.runtime import processes
from fpdm.runtime.storage import written_file

SHOWN = 3


class Unreadable:
    """The list of a run, a name on each line: in quotes if it would not be one line.

    Args:
        path: the file; it is made when there is something to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        there = path.read_text(encoding="utf-8") if path.is_file() else ""
        self.lines = set(there.split("\n")) - {""}

    def add(self, names: Iterable[str]) -> None:
        """Add names, and write the list if it has grown.

        Args:
            names: of files.
        """
        if new := {name if name.isprintable() else repr(name) for name in names} - self.lines:
            self.lines |= new
            with written_file(self.path) as beside:
                beside.write_text("".join(f"{line}\n" for line in sorted(self.lines)), "utf-8")


class Notice:
    """Warns of the first files, and again whenever there are twice as many."""

    def __init__(self) -> None:
        self._next = 1

    def watch(self, names: Iterable[str]) -> None:
        """Look at the files so far.

        Args:
            names: of the files.

        Warns:
            TrainingWarning: there are more than were told.
        """
        found = sorted(names)
        if len(found) < self._next:
            return
        self._next = 2 * len(found)
        files = "1 file" if len(found) == 1 else f"{len(found)} files"
        warnings.warn(
            f"{files} of the data cannot be read, so that others are taken instead: "
            f"{listed([*map(shown, found)], SHOWN)}. A run lists all of them in "
            f"unreadable.txt.",
            TrainingWarning,
            stacklevel=4,
        )


def gathered(names: Iterable[str]) -> set[str]:
    """The names that all processes know; all of them have to call it.

    Args:
        names: those of this process.
    """
    if processes().num_processes == 1:
        return set(names)
    from accelerate.utils import gather_object

    return set(gather_object(sorted(names)))
