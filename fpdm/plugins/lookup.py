"""Looking components up by name, among those of the installed plugins."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, cast

from fpdm.data.dataset import Dataset
from fpdm.errors import InvalidValueError, PluginError
from fpdm.interfaces import (
    AllocationPolicy,
    FixedPointSolver,
    GradientEstimator,
    InitStrategy,
    Network,
)
from fpdm.plugins import options
from fpdm.plugins.components import KINDS, implements
from fpdm.plugins.registry import PluginHost


class _Installed:
    """The host of the installed plugins: made once, by the thread that comes first."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a hook that asks meets its own thread here
        self._loading = False
        self._host: PluginHost | None = None

    def get(self) -> PluginHost:
        with self._lock:
            if self._loading:
                raise PluginError("components cannot be looked up while plugins are loaded.")
            if self._host is None:
                self._loading = True
                try:
                    self._host = PluginHost()
                finally:
                    self._loading = False
            return self._host


_installed = _Installed()


def host() -> PluginHost:
    """The host of the installed plugins, loaded on the first look-up.

    Raises:
        PluginError: a plugin looks a component up while the plugins are loaded.
    """
    return _installed.get()


Spec = str | Mapping[str, Any]
"""A component by name, or by name with options: `{"name": "anderson", "memory": 5}`."""


def resolve(kind: str, spec: object) -> Any:
    """Return a component: the object given, or the one that a name or a mapping describes.

    Args:
        kind: of component, such as `solver`.
        spec: a name, a mapping with a name and options, or a component.

    Raises:
        InvalidValueError: `spec` is none of these, or an option has a value that is not allowed.
        UnknownNameError: no such component, or no such option of it.
    """
    if isinstance(spec, str):
        return host().create(kind, spec)
    if isinstance(spec, Mapping) and isinstance(spec.get("name"), str):
        return host().create(kind, spec["name"], **{k: v for k, v in spec.items() if k != "name"})
    if implements(spec, KINDS[kind].base):
        return spec
    raise InvalidValueError(
        f"{kind}={spec!r}: must be a name, a mapping with a name and options, or a "
        f"{KINDS[kind].interface.__name__}."
    )


def describe(component: Any) -> dict[str, Any]:
    """The inverse of `resolve`, as plain data that can be saved: name and options.

    Args:
        component: a solver, allocation, init or gradient.

    Raises:
        PluginError: its class does not keep an option.
    """
    return {"name": component.name, **options.values(component)}


def solver(name: str, **options: Any) -> FixedPointSolver:
    """Return the solver registered under `name`, with its options.

    Args:
        name: as `fpdm plugins` lists it.
        **options: of the solver; those not given keep their defaults.

    Raises:
        UnknownNameError: no such solver, or no such option of it; the message names the nearest.
        InvalidValueError: an option has a value that is not allowed.

    Examples:
        >>> solver("anderson", memory=3).memory
        3
    """
    return cast("FixedPointSolver", host().create("solver", name, **options))


def allocation(name: str, **options: Any) -> AllocationPolicy:
    """Return the allocation policy registered under `name`, with its options.

    Args:
        name: as `fpdm plugins` lists it.
        **options: of the allocation; those not given keep their defaults.

    Raises:
        UnknownNameError: no such allocation, or no such option of it; the nearest is named.
        InvalidValueError: an option has a value that is not allowed.
    """
    return cast("AllocationPolicy", host().create("allocation", name, **options))


def init(name: str, **options: Any) -> InitStrategy:
    """Return the init strategy registered under `name`, with its options.

    Args:
        name: as `fpdm plugins` lists it.
        **options: of the init; those not given keep their defaults.

    Raises:
        UnknownNameError: no such init, or no such option of it; the message names the nearest.
        InvalidValueError: an option has a value that is not allowed.
    """
    return cast("InitStrategy", host().create("init", name, **options))


def gradient(name: str, **options: Any) -> GradientEstimator:
    """Return the gradient estimator registered under `name`, with its options.

    Args:
        name: as `fpdm plugins` lists it.
        **options: of the gradient; those not given keep their defaults.

    Raises:
        UnknownNameError: no such gradient, or no such option of it; the message names the nearest.
        InvalidValueError: an option has a value that is not allowed.
    """
    return cast("GradientEstimator", host().create("gradient", name, **options))


def network(name: str, **options: Any) -> Network:
    """Return a network of the class registered under `name`, with random weights.

    Args:
        name: as `fpdm plugins` lists it.
        **options: of the network, and the sizes of its data; those not given keep their defaults.

    Raises:
        UnknownNameError: no such network, or no such option of it; the message names the nearest.
        InvalidValueError: an option has a value that is not allowed.
    """
    return cast("Network", host().create("network", name, **options))


def dataset(name: str, **options: Any) -> Dataset:
    """Return the data set registered under `name`, opened.

    Args:
        name: as `fpdm plugins` lists it.
        **options: of the data set; those not given keep their defaults.

    Raises:
        UnknownNameError: no such data set, or no such option of it; the message names the nearest.
        InvalidValueError: an option has a value that is not allowed or is missing, or the data
            cannot be read.

    Examples:
        >>> len(dataset("digits"))
        1797
    """
    return cast("Dataset", host().create("dataset", name, **options))
