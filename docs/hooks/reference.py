"""Parts of the reference that are made from the program itself when the site is built.

A page asks for one with a line such as `<!-- generated: cli -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from fpdm.cli.app import app
from fpdm.runtime.toml import toml
from fpdm.training import TrainConfig
from fpdm.training.config import KINDS
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
        if name not in KINDS:
            yield from _keys(type(getattr(default, name)))
            continue
        key, kinds = KINDS[name]
        for kind, cls in kinds.items():
            yield from (f'\n### `{key} = "{kind}"`', *_keys(cls))


def _is_table(config: TrainConfig, name: str) -> bool:
    return attrs.has(type(getattr(config, name)))


def _keys(cls: type, *, without: Collection[str] = ()) -> Iterator[str]:
    said, types = explain(cls), get_type_hints(cls)
    fields = [each for each in attrs.fields(cls) if each.name not in without]
    if not fields:
        yield "\nNo keys.\n"
        return
    yield from ("", "| key | type | default | |", "|---|---|---|---|")
    for each in fields:
        cells = (f"`{each.name}`", _type(types[each.name]), _default(each), said[each.name])
        yield f"| {' | '.join(cells)} |"
    yield ""


def _type(of: Any) -> str:
    if get_origin(of) is dict:
        return "component"
    stated = get_args(of)[0] if isinstance(of, UnionType) else of  # `int | None` is an int
    return f"`{stated.__name__}`"


def _default(of: attrs.Attribute[Any]) -> str:
    if of.default is attrs.NOTHING:
        return "to be given"
    value = of.default.factory() if isinstance(of.default, attrs.Factory) else of.default
    return "" if value is None else f"`{toml(value)}`"


PARTS: dict[str, Callable[[], str]] = {"cli": cli, "configuration": configuration}
