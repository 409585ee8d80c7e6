"""Asking a component for its answer, and saying which one it was if it raises."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from attrs import evolve

from fpdm.errors import FPDMError, PluginError
from fpdm.plugins.components import Component, Origin, source_file, source_line
from fpdm.plugins.failures import Failure
from fpdm.plugins.lookup import host

Answer = TypeVar("Answer")


def ask(call: Callable[[], Answer], *, f: object = None, **components: object) -> Answer:
    """Return what a component answers.

    An error of ours goes through, and so does what no component can be blamed for: what `f` raises,
    that memory ran out, or what one part of torch tells another.

    Args:
        call: asks the component.
        f: the map that it evaluates, an object whose `__call__` is a method of Python.
        **components: by their kinds: the one that is asked, and then those that it asks in turn.

    Raises:
        PluginError: the component raised something; the exception is the `__cause__`.
    """
    try:
        return call()
    except Exception as error:
        if _is_of_others(error, f):
            raise
        raise PluginError(_sentence(error, components)) from error


def _is_of_others(error: Exception, f: object) -> bool:
    package = str(type(error).__module__).partition(".")[0]
    refused = isinstance(error, torch.linalg.LinAlgError)  # type: ignore[attr-defined]
    of_torch = package == "torch" and not refused  # such as its OutOfMemoryError
    of_nobody = isinstance(error, (FPDMError, MemoryError))
    of_map = f is not None and any(running is f for running in _at_work(error))
    return of_torch or of_nobody or of_map


def _at_work(error: Exception) -> list[object]:
    """The objects whose methods were running, the innermost last."""
    return [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]


def _sentence(error: Exception, components: Mapping[str, object]) -> str:
    kind, component = _culprit(error, components)
    cls = type(component)
    found = _registered(kind, cls)
    name = f"{found.name!r} of plugin {found.origin}" if found else cls.__name__
    origin = found.origin if found else Origin(cls.__name__)
    failure = Failure.of(evolve(origin, value=cls.__module__), error)
    if failure.line is None:
        failure = evolve(failure, file=source_file(cls), line=source_line(cls))
    return f"The {kind} {name} {failure.outcome}"


def _culprit(error: Exception, components: Mapping[str, object]) -> tuple[str, object]:
    """Of the components the one that was at work, and its kind."""
    for running in reversed(_at_work(error)):
        for kind, component in components.items():
            if running is component:
                return kind, component
    return next(iter(components.items()))


def _registered(kind: str, cls: type) -> Component | None:
    try:
        return next((each for each in host().components(kind) if each.cls is cls), None)
    except Exception:  # while plugins are loaded: the name must not hide what went wrong
        return None
