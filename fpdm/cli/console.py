"""What the program prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

UNLIMITED = 10_000
"""Characters of a line that is written for a program, or into a file."""

_QUIET: ContextVar[bool] = ContextVar("fpdm_quiet", default=False)


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """Print results, warnings and errors alone in this block: no remark, and no progress.

    Args:
        quiet: whether it is so.

    Yields:
        Nothing.
    """
    token = _QUIET.set(quiet)
    try:
        yield
    finally:
        _QUIET.reset(token)


def is_quiet() -> bool:
    """Whether remarks and progress are left out."""
    return _QUIET.get()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; columns that hold only numbers are aligned to the right.

    The first column, of names, is never broken.

    Args:
        title: what stands above it.
        columns: their headings.
        rows: a text for each column.
    """
    cells = [list(row) for row in rows]
    built = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for index, column in enumerate(columns):
        numeric = all(row[index].rstrip("s%").replace(".", "").isdigit() for row in cells)
        justify: Literal["right", "left"] = "right" if numeric else "left"
        built.add_column(column, justify=justify, overflow="fold", no_wrap=not index)
    for row in cells:
        built.add_row(*map(escape, row))
    show(built, width=width())


def say(message: str) -> None:
    """Print a line of the result, as it is.

    Args:
        message: the line.
    """
    _console().print(Text(message), soft_wrap=True)


def note(message: str) -> None:
    """Print a remark that is no part of the result, and can be done without.

    Args:
        message: the remark.
    """
    if not is_quiet():
        warn(message)


def warn(message: str) -> None:
    """Print what is not as it should be, while the program goes on.

    Args:
        message: one sentence or two.
    """
    _console(stderr=True).print(
        f"[yellow]fpdm:[/] {escape(message)}", highlight=False, soft_wrap=True
    )


def error(message: str) -> None:
    """Print why the program ends early.

    Args:
        message: one sentence.
    """
    _console(stderr=True).print(
        f"[bold red]fpdm:[/] {escape(message)}", highlight=False, soft_wrap=True
    )


def width() -> int | None:
    """The characters of a line: those of the terminal, or of `COLUMNS`; None if nothing says so."""
    console = _console()
    return console.width if console.is_terminal or "COLUMNS" in os.environ else None


def show(thing: RenderableType, *, width: int | None) -> None:
    """Print a table, Markdown or text, without blanks at the ends of lines where nobody looks.

    Args:
        thing: what rich can render.
        width: the characters of a line; None for as many as it takes.
    """
    console = _console(width=width or UNLIMITED)
    if console.is_terminal:
        console.print(thing)
        return
    with console.capture() as captured:
        console.print(thing)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    return Console(stderr=stderr, width=width, emoji=False)
