"""Reading a configuration: from TOML, from `key=value`, and from plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import attrs
import cattrs
from cattrs.errors import ForbiddenExtraKeysError

from fpdm.errors import FPDMError, InvalidValueError, UnknownNameError, suggest
from fpdm.plugins import host
from fpdm.plugins.options import parameters
from fpdm.runtime.toml import read_toml_value
from fpdm.training.config import NAMED, PRESET, TrainConfig, as_table, has_presets
from fpdm.training.sources import read_sources


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration.

    Args:
        source: a TOML file, or the name of one that comes with the package, such as `digits`. It
            may build on another, `base = "digits"`, and then says only what is otherwise.
        overrides: `key=value` with dots for tables and TOML values, such as
            `optimizer.learning_rate=3e-4`. Another kind of data or network leaves out what the
            file says of the old kind alone.

    Returns:
        The configuration, checked.

    Raises:
        InvalidValueError: the file or an override cannot be read, or a value is not allowed; the
            message names the path of the key.
        UnknownNameError: there is no such file or configuration.
    """
    return structure_config(override(build_up(read_sources(source)), overrides))


def build_up(trees: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Put configurations on one another: what the later ones say takes the place of what was said.

    Tables are put together key by key, but for one that names another component than before, of
    which it keeps what the new one has too.

    Args:
        trees: plain data, the one on which the others build first.

    Returns:
        The tables of all.
    """
    built: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            table, below = _as_table(key, value), built.get(key)
            if isinstance(table, dict) and isinstance(below, dict):
                if key in NAMED and (named := NAMED[key].key) in table:
                    _change_kind(built, key, named, table[named])
                table = built[key] | table
            built[key] = table
    return built


def override(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Replace values of plain data.

    Args:
        tree: tables by name; it is left as it is.
        overrides: as of [`load_config`][fpdm.training.load_config].

    Returns:
        The tables with these values.

    Raises:
        InvalidValueError: an override is no `key=value`, or leads into what is no table.
    """
    tables = {key: _as_table(key, value) for key, value in tree.items()}
    for text in overrides:
        _set(tables, text)
    return tables


def structure_config(tree: Mapping[str, Any]) -> TrainConfig:
    """Turn plain data into a configuration.

    Args:
        tree: tables by name; what is left out has its default.

    Returns:
        The configuration, checked.

    Raises:
        InvalidValueError: a key is not known or a value not allowed; the message names the path of
            the key.
    """
    try:
        return _CONVERTER.structure(tree, TrainConfig)
    except Exception as error:  # cattrs collects what is wrong into a group of errors
        problems = cattrs.transform_error(error, path="", format_exception=_explain)
        problem, _, path = problems[0].partition(" @ ")
        where = f"{path.lstrip('.')}: " if path else ""
        raise InvalidValueError(f"Configuration: {where}{' '.join(problem.split())}") from error


def unstructure_config(config: TrainConfig) -> dict[str, Any]:
    """Turn a configuration into plain data, the inverse of `structure_config`.

    Args:
        config: of the training.

    Returns:
        Tables by name.
    """
    return attrs.asdict(config)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dots in the keys.

    Args:
        tree: tables in tables.
        prefix: what each key begins with.

    Returns:
        One table; `{"a": {"b": 1}}` has the key `a.b`.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _set(tree: dict[str, Any], text: str) -> None:
    """Replace one value, given as `key=value`."""
    key, equals, written = text.partition("=")
    if not (equals and key.strip()):
        raise InvalidValueError(f"--set {text}: must be key=value, such as seed=1.")
    try:
        value = read_toml_value(written)
    except (ValueError, RecursionError):
        value = written.strip()  # a bare word is a string
    *tables, name = (part.strip() for part in key.split("."))
    if len(tables) == 1:
        _change_kind(tree, tables[0], name, value)
    for table in tables:
        inner = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            raise InvalidValueError(f"--set {text}: {table} is not a table.")
        tree = inner
    tree[name] = _as_table(name, value) if not tables else value


def _change_kind(tree: dict[str, Any], table: str, key: str, name: Any) -> None:
    """Where a table is to name another component, leave out what only the old one has."""
    named, old = NAMED.get(table), tree.get(table)
    if named is None or key != named.key or not isinstance(old, dict):
        return
    with suppress(UnknownNameError):  # of which more is said where it is looked up
        known = {*parameters(host().get(named.name, str(name)))}
        known |= {PRESET} if has_presets(table, str(name)) else set()
        tree[table] = {option: value for option, value in old.items() if option in known}


def _as_table(key: str, value: Any) -> Any:
    fields = as_table(key, value)
    return dict(fields) if isinstance(fields, Mapping) else fields


def _explain(error: BaseException, _: type | None) -> str:
    """One problem in one sentence."""
    if isinstance(error, ForbiddenExtraKeysError):
        given = min(error.extra_fields)
        allowed = [field.alias for field in attrs.fields(error.cl)]
        return f"there is no {given!r}. {suggest(given, allowed)}"
    if isinstance(error, KeyError):
        return "is missing, and must be given."
    return str(error) if isinstance(error, FPDMError) else f"{type(error).__name__}: {error}"


def _exactly(cls: type, described: str) -> Any:
    """A structure hook that takes a value of a plain type as it is, and converts nothing."""

    def structure(value: Any, _: type) -> Any:
        if cls is float and type(value) is int:
            value = _as_float(value)
        if type(value) is not cls:
            raise InvalidValueError(f"{value!r}: must be {described}.")
        return value

    return structure


def _as_float(value: int) -> float | int:
    try:
        return float(value)
    except OverflowError:
        return value


def _structure_strings(value: Any, _: type) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidValueError(f"{value!r}: must be a list of strings.")
    return list(value)


def _structure_optional_string(value: Any, _: type) -> str | None:
    if value is not None and type(value) is not str:
        raise InvalidValueError(f"{value!r}: must be a string.")
    return value


def _structure_optional_whole(value: Any, _: type) -> int | None:
    if value is not None and type(value) is not int:
        raise InvalidValueError(f"{value!r}: must be a whole number.")
    return value


def _table(cls: type) -> Any:
    """A structure hook for a plain table: what is no table is said to be none."""
    structure: Any = cattrs.gen.make_dict_structure_fn(
        cls, _CONVERTER, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
    )

    def checked(tree: Any, kind: type) -> Any:
        if not isinstance(tree, Mapping):
            raise InvalidValueError(f"{tree!r}: must be a table.")
        return structure(tree, kind)

    return checked


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for cls, described in (
        (int, "a whole number"),
        (float, "a number"),
        (bool, "true or false"),
        (str, "a string"),
    ):
        converter.register_structure_hook(cls, _exactly(cls, described))
    hooks: dict[Any, Any] = {
        # what a component may be is for its own converter to say
        dict[str, Any]: lambda spec, _: spec,
        list[str]: _structure_strings,
        int | None: _structure_optional_whole,
        str | None: _structure_optional_string,
    }
    for kind, hook in hooks.items():
        converter.register_structure_hook_func(partial(eq, kind), hook)
    converter.register_structure_hook_factory(attrs.has, _table)
    return converter


_CONVERTER = _make_converter()
