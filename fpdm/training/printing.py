"""A configuration as commented TOML, with the comments of the classes' docstrings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from docstring_parser import parse

from fpdm.plugins import Kind, host
from fpdm.runtime.toml import toml
from fpdm.training.config import NAMED, TrainConfig
from fpdm.training.reading import unstructure_config

WIDTH = 88
LINK = re.compile(r"\[([^]]+)\]\[[^]]*\]")


def print_config(config: TrainConfig) -> str:
    """Write a configuration as TOML that `load_config` reads, every key with what it means.

    Args:
        config: of the training.

    Returns:
        The text of the file; an option that is None is commented out.

    Examples:
        >>> from fpdm.training import TrainConfig, print_config
        >>> print_config(TrainConfig()).splitlines()[:2]
        ['# Optimizer steps, from the first to the last.', 'steps = 2500']
    """
    tree = unstructure_config(config)
    tables = [key for key in tree if key in NAMED or attrs.has(type(getattr(config, key)))]
    said = explain(TrainConfig)
    lines = list(_lines({key: tree[key] for key in tree if key not in tables}, said))
    for table in tables:
        lines += ["", f"[{table}]"]
        if table in NAMED:
            lines += _named(NAMED[table], tree[table])
        else:
            lines += _lines(tree[table], explain(type(getattr(config, table))))
    return "\n".join(lines) + "\n"


def _named(named: Kind, table: Mapping[str, Any]) -> Iterator[str]:
    names = [found.name for found in host().components(named.name)]
    yield f"# One of {', '.join(names)}."
    said = {named.key: "", **explain(host().get(named.name, table[named.key]))}
    yield from _lines(table, said)


def _lines(tree: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    for key, value in tree.items():
        if text := said.get(key):
            yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        yield f"# {key} =" if value is None else f"{key} = {toml(value)}"


def explain(cls: type) -> dict[str, str]:
    """What the docstring of a class, and of those it derives from, says of each argument.

    Args:
        cls: a class of the configuration, or of a component.

    Returns:
        A sentence by the name of the argument.
    """
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for argument in parse(base.__doc__ or "").params:
            text = LINK.sub(r"\1", " ".join((argument.description or "").split()))
            said[argument.arg_name] = text[:1].upper() + text[1:]
    return said
