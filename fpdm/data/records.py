"""Frozen values as JSON files, checked as they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import attrs

from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import written_file


class Record(attrs.AttrsInstance, Protocol):
    """An attrs class that says of which format, and which version of it, its files are."""

    FORMAT: ClassVar[str]
    VERSION: ClassVar[int]


R = TypeVar("R", bound=Record)
T = TypeVar("T", bound=attrs.AttrsInstance)


def write_record(path: Path, record: Record) -> None:
    """Write a record to a file, all at once.

    Args:
        path: of the file.
        record: what to write.
    """
    tree = {"format": record.FORMAT, "version": record.VERSION, **attrs.asdict(record)}
    with written_file(path) as beside:
        beside.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def read_record(path: Path, cls: type[R]) -> R:
    """Read a record.

    Args:
        path: of the file.
        cls: the class of the record.

    Returns:
        The record, checked.

    Raises:
        InvalidValueError: the file cannot be read, or holds no such record of this version; the
            message names the key.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidValueError(f"{path} cannot be read as JSON, or is damaged.") from error
    if not isinstance(tree, dict) or tree.get("format") != cls.FORMAT:
        raise InvalidValueError(f'{path}: must be a record with "format": "{cls.FORMAT}".')
    if (version := tree.get("version")) != cls.VERSION:
        raise InvalidValueError(
            f"{path}: version={version!r}; this version of fpdm reads {cls.VERSION}."
        )
    del tree["format"], tree["version"]
    try:
        return build(cls, tree)
    except InvalidValueError as error:
        raise InvalidValueError(f"{path}: {error}") from error


def build(cls: type[T], tree: Any) -> T:
    """Build an attrs value from a table that names all of its fields, and nothing else.

    Args:
        cls: the attrs class.
        tree: fields by name.

    Returns:
        The value, checked.

    Raises:
        InvalidValueError: it is no such table, or a value is not allowed.
    """
    names = {field.name for field in attrs.fields(cls)}
    if not isinstance(tree, Mapping):
        raise InvalidValueError(f"{tree!r}: must be a table of {', '.join(sorted(names))}.")
    if missing := sorted(names - tree.keys()):
        raise InvalidValueError(f"{missing[0]} is missing.")
    if unknown := sorted(tree.keys() - names):
        raise InvalidValueError(f"there is no {unknown[0]!r}.")
    return cls(**tree)


def texts(_: Any, field: Any, value: Any) -> None:
    """An attrs validator: a row of texts.

    Raises:
        InvalidValueError: it is something else.
    """
    if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
        raise InvalidValueError(f"{field.name}={value!r}: must be a list of texts.")


def matching(pattern: str, described: str) -> Any:
    """An attrs validator: a text that matches a pattern.

    Args:
        pattern: a regular expression that the whole text must match.
        described: what the message says that it must be.
    """

    def check(_: Any, field: Any, value: Any) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise InvalidValueError(f"{field.name}={value!r}: must be {described}.")

    return check


def digits_of_sha256(instance: Any, field: Any, value: Any) -> None:
    """An attrs validator: a SHA-256.

    Raises:
        InvalidValueError: it is something else.
    """
    matching("[0-9a-f]{64}", "64 hexadecimal digits")(instance, field, value)


def name_or_none(_: Any, field: Any, value: Any) -> None:
    """An attrs validator: a text, or nothing.

    Raises:
        InvalidValueError: it is something else.
    """
    if not isinstance(value, (str, type(None))):
        raise InvalidValueError(f"{field.name}={value!r}: must be a text or null.")
