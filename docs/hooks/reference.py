"""Parts of the reference that are made from the program itself when the site is built.

A page asks for one with a line such as `<!-- generated: cli -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from fpdm.cli.app import app
from fpdm.plugins import KINDS, Component, host
from fpdm.plugins.options import chosen
from fpdm.plugins.plain import hints
from fpdm.runtime.toml import toml
from fpdm.training import TrainConfig
from fpdm.training.config import NAMED
from fpdm.training.printing import explain

MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.M)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each mark by the part that it asks for."""
    return MARK.sub(lambda found: PARTS[found[1]](), markdown)


def cli() -> str:
    """Every command, with what its `--help` says."""
    written = app.generate_docs(output_format="markdown")
    return written[written.index("\n## ") :]


def configuration() -> str:
    """Every key of the configuration of a training, table by table."""
    return "\n".join(_configuration())


def _configuration() -> Iterator[str]:
    default = TrainConfig()
    nested = [name for name in attrs.asdict(default, recurse=False) if _is_table(default, name)]
    yield from ("## At the top", *_keys(TrainConfig, without=nested))
    for name in nested:
        yield f"\n## `[{name}]`"
        if name not in NAMED:
            yield from _keys(type(getattr(default, name)))
            continue
        named = NAMED[name]
        for found in host().components(named.name):
            yield from (f'\n### `{named.key} = "{found.name}"`', *_options(found))


def _is_table(config: TrainConfig, name: str) -> bool:
    return name in NAMED or attrs.has(type(getattr(config, name)))


def _keys(cls: type, *, without: Collection[str] = ()) -> Iterator[str]:
    said, types = explain(cls), get_type_hints(cls)
    fields = [each for each in attrs.fields(cls) if each.name not in without]
    yield from _table(
        (each.name, _type(types[each.name]), _default(each), said[each.name]) for each in fields
    )


def _options(found: Component) -> Iterator[str]:
    """The options of a component, as keys of the table that names it."""
    said, types = explain(found.cls), hints(found.cls)
    yield from _table(
        (
            each.name,
            _type(types[each.name]),
            "to be given" if each.default is each.empty else _written(each.default),
            said[each.name],
        )
        for each in chosen(found.cls, KINDS[found.kind].given)
    )


def _table(rows: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    written = [f"| {' | '.join((f'`{name}`', *rest))} |" for name, *rest in rows]
    if not written:
        yield "\nNo keys.\n"
        return
    yield from ("", "| key | type | default | |", "|---|---|---|---|", *written, "")


def _type(of: Any) -> str:
    arms = get_args(of) if get_origin(of) in (Union, UnionType) else (of,)
    if any(each in [kind.interface for kind in KINDS.values()] for each in arms):
        return "component"
    return f"`{arms[0].__name__}`"  # `int | None` is an int, and what may be a path a string


def _default(of: attrs.Attribute[Any]) -> str:
    if of.default is attrs.NOTHING:
        return "to be given"
    return _written(of.default.factory() if isinstance(of.default, attrs.Factory) else of.default)


def _written(value: Any) -> str:
    return "" if value is None else f"`{toml(value)}`"


PARTS: dict[str, Callable[[], str]] = {"cli": cli, "configuration": configuration}
