"""A configuration as commented TOML, with the comments of the classes' docstrings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from docstring_parser import parse

from fpdm.runtime.toml import toml
from fpdm.training.config import KINDS, TrainConfig
from fpdm.training.reading import unstructure_config

WIDTH = 88


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
    tables = [key for key in tree if attrs.has(type(getattr(config, key)))]
    lines = list(_lines(tree, TrainConfig, without=tables))
    for table in tables:
        cls = type(getattr(config, table))
        lines += ["", f"[{table}]"]
        if table in KINDS:
            key, kinds = KINDS[table]
            lines += [f"# One of {', '.join(kinds)}.", f"{key} = {toml(tree[table][key])}"]
        lines += _lines(tree[table], cls, without=[KINDS[table][0]] if table in KINDS else [])
    return "\n".join(lines) + "\n"


def _lines(tree: Mapping[str, Any], cls: type, *, without: list[str]) -> Iterator[str]:
    said = explain(cls)
    for key, value in tree.items():
        if key in without:
            continue
        if key in said:
            yield from textwrap.wrap(said[key], WIDTH, initial_indent="# ", subsequent_indent="# ")
        yield f"# {key} =" if value is None else f"{key} = {toml(value)}"


def explain(cls: type) -> dict[str, str]:
    """What the docstring of a class, and of those it derives from, says of each argument.

    Args:
        cls: a class of the configuration.

    Returns:
        A sentence by the name of the argument.
    """
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for argument in parse(base.__doc__ or "").params:
            text = " ".join((argument.description or "").split())
            said[argument.arg_name] = text[:1].upper() + text[1:]
    return said
