"""How numbers and components are written on the command line."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

from fpdm import plugins
from fpdm.errors import InvalidValueError


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)  # and not the nearest to 1.5
    except ValueError:
        raise InvalidValueError(f"{tokens[0].value} is no whole number.") from None


Whole = Annotated[int, Parameter(converter=_whole)]
"""A whole number, and nothing that would have to be rounded to one."""


def component(kind: str, text: str | None) -> Any:
    """Read `name` or `name:option=value,option=value`, such as `anderson:memory=3`.

    Args:
        kind: `solver`, `allocation`, `init` or `gradient`.
        text: as it was written; None for none.

    Returns:
        The component; None for none.

    Raises:
        InvalidValueError: the text is not written like that, or an option's value is not allowed.
        UnknownNameError: there is no such component or option.
    """
    if text is None:
        return None
    name, colon, tail = text.partition(":")
    options: dict[str, Any] = {}
    for part in tail.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidValueError(
                f"--{kind} {text}: must be name or name:option=value,option=value."
            )
        if key.strip() in options:
            raise InvalidValueError(f"--{kind} {text}: gives {key.strip()} twice.")
        value = {"true": "True", "false": "False"}.get(value.strip().lower(), value)
        try:
            options[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            options[key.strip()] = value.strip()
    return plugins.host().create(kind, name, **options)
