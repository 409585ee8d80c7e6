"""How numbers and components are written on the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from fpdm.errors import InvalidValueError


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)  # and not the nearest to 1.5
    except ValueError:
        raise InvalidValueError(f"{tokens[0].value} is no whole number.") from None


Whole = Annotated[int, Parameter(converter=_whole)]
Several = Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())]
"""A whole number, and nothing that would have to be rounded to one."""

KindName = Literal["solver", "allocation", "init", "gradient", "network", "dataset"]
"""A kind of component."""

PIECE = re.compile(
    r"""[bBrRuU]{0,2}(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')  # between quotes
    |\w+(?:'\w+)*  # a word, with its apostrophes
    |.""",
    re.VERBOSE | re.DOTALL,
)
"""A part of what is written that is looked at as one."""

CLOSING = {"(": ")", "[": "]", "{": "}"}
ALONE = (*CLOSING.values(), "'", '"')
"""What cannot stand without what opens it; a quote that does has no other."""


def component(kind: str, text: str | None) -> Any:
    """Read `name` or `name:option=value,option=value`, such as `anderson:memory=3`.

    Args:
        kind: `solver`, `allocation`, `init` or `gradient`.
        text: as it was written; None for none. Commas between brackets or quotes belong to a value.

    Returns:
        The component; None for none.

    Raises:
        InvalidValueError: the text is not written like that, or an option's value is not allowed.
        UnknownNameError: there is no such component or option.
    """
    if text is None:
        return None
    name, colon, tail = text.partition(":")
    parts = _split(tail) if colon else []
    if parts is None:
        raise InvalidValueError(
            f"--{kind} {text}: brackets and quotes must come in pairs, as in "
            f"--{kind} '{name}:option=[1, 2],option=\"a, b\"'."
        )
    options: dict[str, Any] = {}
    for part in parts:
        key, equals, written = part.partition("=")
        if not equals:
            raise InvalidValueError(
                f"--{kind} {text}: must be name or name:option=value,option=value."
            )
        if key.strip() in options:
            raise InvalidValueError(f"--{kind} {text}: gives {key.strip()} twice.")
        options[key.strip()] = read_value(written)
    from fpdm.plugins import host

    return host().create(kind, name, **options)


def read_value(written: str) -> Any:
    """Read the value of an option: true or false, what Python writes like it, or else a text.

    Args:
        written: on the command line, after `option=`.

    Returns:
        The value; of bare words the text itself.
    """
    written = written.strip()
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(written.lower(), written))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return written


def _split(tail: str) -> list[str] | None:
    """The parts between commas outside brackets and quotes; None where these are not in pairs."""
    parts = [""]
    closing: list[str] = []
    for piece in PIECE.findall(tail):
        if piece == "," and not closing:
            parts.append("")
            continue
        if piece in CLOSING:
            closing.append(CLOSING[piece])
        elif piece in ALONE and (not closing or closing.pop() != piece):
            return None
        parts[-1] += piece
    return None if closing else parts
