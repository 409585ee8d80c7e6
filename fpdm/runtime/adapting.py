"""What adapters (LoRA) need beside the package, asked for where one is used."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from typing import Any, TypeVar, cast

from fpdm.errors import MissingDependencyError

NEEDED = ("peft", "transformers")
"""What diffusers wants installed before it adds, loads or merges an adapter."""

Method = TypeVar("Method", bound=Callable[..., Any])
Mixin = TypeVar("Mixin", bound=type)


def asks_for_peft(method: Method) -> Method:
    """Have a method say what is not installed, before it does anything.

    Args:
        method: which has to do with adapters.

    Returns:
        The same, with the question before it.
    """

    @wraps(method)
    def asking(*args: Any, **options: Any) -> Any:
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise MissingDependencyError(
                f"Adapters need {' and '.join(missing)}, not installed here: "
                f"pip install 'fpdm[lora]'."
            )
        return method(*args, **options)

    return cast("Method", asking)


def all_ask_for_peft(cls: Mixin) -> Mixin:
    """Have every public method that a class inherits ask so.

    Args:
        cls: derived from a mixin of diffusers that is about adapters alone.

    Returns:
        The class itself.
    """
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(cls, name, asks_for_peft(method))
    return cls
