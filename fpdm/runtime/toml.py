"""TOML: how a value is written in it, and what is read from it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that needs no quotes."""


def toml(value: Any) -> str:
    """A value as TOML, in letters that can be printed.

    Args:
        value: a table, a list, a text, a number, or true or false.
    """
    if isinstance(value, Mapping):
        items = [f"{_key(key)} = {toml(item)}" for key, item in value.items()]
        return "{ " + ", ".join(items) + " }" if items else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return "".join(map(_escaped, json.dumps(value, ensure_ascii=False)))
    return json.dumps(value)  # numbers, true and false are written alike


def read_toml(text: str) -> dict[str, Any]:
    """Read a file.

    Args:
        text: what is in it.

    Returns:
        Tables by name.

    Raises:
        ValueError: it is no TOML.
        RecursionError: it is nested too deeply.
    """
    return tomllib.loads(text)


def read_toml_value(written: str) -> Any:
    """Read a value, as it stands after `key = `.

    Args:
        written: the value as TOML.

    Returns:
        The value.

    Raises:
        ValueError: it is no TOML.
        RecursionError: it is nested too deeply.
    """
    return read_toml(f"value = {written}")["value"]


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else toml(key)


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
