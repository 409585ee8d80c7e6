"""The tables of `fpdm plugins`, in the width that there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from fpdm.cli import console
from fpdm.cli.options import options
from fpdm.plugins.components import Component, Origin
from fpdm.plugins.failures import Failure

READABLE = 30
"""Characters that a column of running text needs."""


def print_components(found: Iterable[Component]) -> None:
    """Print what is registered: one line each where the width allows it, a few otherwise.

    Args:
        found: the components, in the order of the table.
    """
    columns = ("kind", "name", "class", "package", "version", "file", "options")
    rows = [
        (
            each.kind,
            each.name,
            each.cls.__name__,
            each.origin.package,
            each.origin.version,
            "" if each.file is None else short(each.file, each.cls.__module__),
            " ".join(map(str, options(each.cls, each.kind))),
        )
        for each in found
    ]
    stacked = [
        (kind, name, _lines(f"{cls}, {package} {version}", file, given))
        for kind, name, cls, package, version, file, given in rows
    ]
    narrow = Form(("kind", "name", "class, package\nfile\noptions"), stacked)
    Form(columns, rows).or_else(narrow).print("Components")


def print_failures(failed: Iterable[Failure]) -> None:
    """Print what was refused, where it went wrong, and why.

    Args:
        failed: the failures, in the order of the table.
    """
    columns = ("plugin", "package", "version", "where", "reason")
    rows = [
        (each.origin.plugin, each.origin.package, each.origin.version, _where(each), each.reason)
        for each in failed
    ]
    stacked = [
        (plugin, _lines(f"{package} {version}", where, reason))
        for plugin, package, version, where, reason in rows
    ]
    narrow = Form(("plugin", "package\nwhere\nreason"), stacked)
    Form(columns, rows).or_else(narrow).print("Failed")


def print_disabled(disabled: Iterable[Origin]) -> None:
    """Print the plugins that were left out.

    Args:
        disabled: the plugins, in the order of the table.
    """
    rows = [(each.plugin, each.package, each.version, each.value) for each in disabled]
    Form(("plugin", "package", "version", "entry point"), rows).print("Disabled")


def short(file: Path, module: str) -> str:
    """A file as people read it: from its package on, or else from the home folder on.

    Args:
        file: the whole path.
        module: the module that it is, or another one of the same package.
    """
    top = module.partition(".")[0]
    for index in reversed(range(len(file.parts))):
        if file.parts[index] in (top, f"{top}.py"):
            return Path(*file.parts[index:]).as_posix()
    return home(file)


def home(file: Path) -> str:
    """A file with `~` for the home folder.

    Args:
        file: the whole path.
    """
    if file.is_relative_to(Path.home()):
        return (Path("~") / file.relative_to(Path.home())).as_posix()
    return str(file)


@frozen
class Form:
    """One way to lay out a table; its last column is running text.

    Attributes:
        columns: their headings.
        rows: the cells.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def or_else(self, narrow: Form) -> Form:
        """Return this form where the width leaves its text room, or else the other.

        Args:
            narrow: the form for fewer characters.
        """
        columns = zip(self.columns, *self.rows, strict=True)
        *fixed, text = (max(map(len, cells)) + 2 for cells in columns)
        width = console.width()
        return self if width is None or sum(fixed) + min(text, READABLE) <= width else narrow

    def print(self, title: str) -> None:
        """Print the table.

        Args:
            title: stands above it.
        """
        console.table(title, self.columns, self.rows)


def _lines(*lines: str) -> str:
    return "\n".join(filter(None, lines))


def _where(failed: Failure) -> str:
    if failed.file is None:
        return failed.origin.value
    line = "" if failed.line is None else f":{failed.line}"
    return f"{short(failed.file, failed.origin.module)}{line}"
