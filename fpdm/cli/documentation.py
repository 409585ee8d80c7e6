"""`fpdm plugins show`: what a component says of itself, and how it is used."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import islice

from docstring_parser import Docstring, DocstringStyle, ParseError, parse
from docstring_parser.google import DEFAULT_SECTIONS
from rich.console import Group
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fpdm.cli import console
from fpdm.cli.listing import home
from fpdm.cli.notation import PYTHON, TOML, Notation
from fpdm.cli.options import Option, literal, options
from fpdm.plugins.components import KINDS, Component
from fpdm.plugins.options import parameters
from fpdm.runtime.toml import toml

SECTION = re.compile(rf"^({'|'.join(each.title for each in DEFAULT_SECTIONS)}):[ \t]*$", re.M)
"""The line that begins a section of a docstring."""

SIZES = {"sample_size": 8, "in_channels": 1, "num_classes": 10}
"""Of the digits, where an example has to say what the data say."""

WIDTH = 100
"""Characters of a line of running text where no width is given."""

REFERENCE = re.compile(r"\[([^]]+)\]\[[^]]*\]")
"""A link to another page, of which there is none here."""


def print_documentation(found: Component) -> None:
    """Print where a component comes from, its docstring, its options, and how to use it.

    Args:
        found: the component.
    """
    width, given = console.width() or WIDTH, options(found.cls, found.kind)
    heading = Text(f"{found.kind} {found.name}", style="bold")
    text = Markdown(docstring(found.cls))
    console.show(Group(heading, _pairs(_facts(found)), text, ""), width=width)
    if given:
        rows = [
            (
                each.name,
                each.type,
                "to be given" if each.required else literal(each.default),
                _unmarked(each.description),
            )
            for each in given
        ]
        console.table("Options", ("option", "type", "default", "meaning"), rows)
    for place, written in usage(found, given):
        console.say(f" {place:7}  {written}")  # in one line, that can be pasted
    console.say("")


def docstring(cls: type) -> str:
    """The docstring of a component as Markdown, without its options.

    Args:
        cls: the class that a plugin registered.
    """
    text = REFERENCE.sub(r"\1", inspect.cleandoc(cls.__doc__ or "It has no docstring."))
    try:
        sections = _sections(parse(text, style=DocstringStyle.GOOGLE))
    except ParseError:  # a section that is written otherwise
        return text
    return "\n\n".join([SECTION.split(text)[0].rstrip(), *sections])


def usage(found: Component, given: tuple[Option, ...]) -> Iterator[tuple[str, str]]:
    """Where a component may be given, and how it is written there.

    Args:
        found: the component.
        given: its options, the first of which that can be written serves as the example.

    Yields:
        A word for the place, and what is written there.
    """
    if KINDS[found.kind].table:
        yield from _of_training(found, given)
        return
    example = [str(option) for option in _first(given, PYTHON)]
    if found.kind == "gradient":
        options = {option.name: option.default for option in _first(given, TOML)}
        table = toml({"name": found.name, **options})
        words = ["train", "--set", f"model.gradient={table}"]
    else:
        words = ["sample", f"--{found.kind}", ":".join([found.name, *example])]
    if found.kind == "solver":
        words += ["--steps", "5"]  # with two iterations all are alike
    yield "command", shlex.join(["fpdm", *words])
    arguments = ", ".join([f'"{found.name}"', *example])
    yield "Python", f"fpdm.{found.kind}({arguments})"


def _of_training(found: Component, given: tuple[Option, ...]) -> Iterator[tuple[str, str]]:
    """How a component is written that a table of the configuration names."""
    kind = KINDS[found.kind]
    needed = {each.name: "PATH" for each in given if each.required}
    first = {option.name: option.default for option in _first(given, TOML) if not needed}
    pairs = {kind.key: found.name, **(needed or first)}
    words = [word for k, v in pairs.items() for word in ("--set", f"{kind.table}.{k}={toml(v)}")]
    yield "command", shlex.join(["fpdm", "train", *words])
    sizes = {name: SIZES[name] for name in kind.given if name in SIZES}
    taken = {name: size for name, size in sizes.items() if name in parameters(found.cls)}
    arguments = [f"{name}={literal(value)}" for name, value in (taken | (needed or first)).items()]
    yield "Python", f"fpdm.{found.kind}({', '.join([literal(found.name), *arguments])})"


def _first(given: tuple[Option, ...], notation: Notation) -> list[Option]:
    """The first option whose default can be written so, if there is one."""
    written = (option for option in given if notation.exact(option.default) is not None)
    return list(islice(written, 1))


def _pairs(rows: Iterable[tuple[str, str]]) -> Padding:
    """Lines of a word and what belongs to it, with an empty line after them."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(value))
    return Padding(grid, (0, 0, 1, 1))


def _facts(found: Component) -> Iterator[tuple[str, str]]:
    yield "class", f"{found.cls.__module__}:{found.cls.__qualname__}"
    yield "package", f"{found.origin.package} {found.origin.version}"
    yield "plugin", found.origin.plugin
    yield "file", "–" if found.file is None else home(found.file)


def _sections(said: Docstring) -> Iterator[str]:
    for title, entries in (
        ("Raises", [f"- `{each.type_name}`: {each.description}" for each in said.raises]),
        ("Examples", [f"```python\n{each.description}\n```" for each in said.examples]),
    ):
        if entries:
            yield "\n".join([f"**{title}**", "", *entries])


def _unmarked(text: str) -> str:
    """A text without links and without marks of code, for the cell of a table."""
    return REFERENCE.sub(r"\1", text).replace("`", "")
