"""What the program prints: results on standard output, everything else on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH_WITHOUT_TERMINAL = 160


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; columns that hold only numbers are aligned to the right.

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
        built.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        built.add_row(*map(escape, row))
    _console().print(built)


def say(message: str) -> None:
    """Print a line of the result.

    Args:
        message: the line.
    """
    _console().print(escape(message), highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Print a remark that is no part of the result.

    Args:
        message: the remark.
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


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=WIDTH_WITHOUT_TERMINAL)
