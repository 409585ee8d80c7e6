"""How a component is written on the command line."""

from __future__ import annotations

import ast
from typing import Any

from fpdm import plugins
from fpdm.errors import InvalidValueError


def component(kind: str, text: str | None) -> Any:
    """Read `name` or `name:option=value,option=value`, such as `anderson:memory=3`.

    Raises:
        InvalidValueError: the text is not written like that, or an option's value is not allowed.
        UnknownNameError: there is no such component or option.
    """
    if text is None:
        return None
    name, _, tail = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidValueError(
                f"--{kind} {text}: must be name or name:option=value,option=value."
            )
        try:
            options[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            options[key.strip()] = value.strip()
    return plugins.resolve(kind, {"name": name, **options})
