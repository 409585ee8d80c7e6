"""Finding plugins: what is installed, from where, and what failed to load."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import attrs
import pluggy
from attrs import frozen

from fpdm import hookspecs
from fpdm.errors import (
    FPDMError,
    InvalidValueError,
    PluginError,
    PluginWarning,
    UnknownNameError,
    suggest,
)
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, GradientEstimator, InitStrategy

GROUP = "fpdm"


@frozen
class Kind:
    """One of the four kinds of component: its interface and the hook that registers it."""

    name: str
    interface: type
    hook: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("solver", FixedPointSolver, "fpdm_register_solvers"),
        Kind("allocation", AllocationPolicy, "fpdm_register_allocations"),
        Kind("init", InitStrategy, "fpdm_register_inits"),
        Kind("gradient", GradientEstimator, "fpdm_register_gradients"),
    )
}


@frozen
class Origin:
    """Where a component comes from: a plugin, and the distribution that ships it.

    Attributes:
        plugin: the name of the entry point.
        package: the name of the distribution; empty for a plugin registered by hand.
        version: of the distribution.
    """

    plugin: str
    package: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.plugin!r}{f' of {self.package} {self.version}' if self.package else ''}"


@frozen
class Component:
    """A class that a plugin registered."""

    kind: str
    name: str
    cls: type
    origin: Origin


@frozen
class Failure:
    """A plugin, or one class of it, that was refused, and why."""

    origin: Origin
    reason: str


class PluginHost:
    """Holds the components that plugins registered.

    Args:
        found: the entry points to load, ours first. None takes those of the installed packages;
            `()` makes an empty host for tests.
    """

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._components: dict[tuple[str, str], Component] = {}
        self.failures: list[Failure] = []
        points = entry_points(group=GROUP) if found is None else found
        loadable = [(_origin(point), point) for point in points]
        for origin, point in sorted(loadable, key=lambda pair: pair[0].package != GROUP):
            self._load(origin, point)

    def components(self, kind: str | None = None) -> list[Component]:
        """What is registered, of one kind or of all, in order of kind and registration."""
        order = list(KINDS)
        every = sorted(self._components.values(), key=lambda found: order.index(found.kind))
        return [found for found in every if kind in (None, found.kind)]

    def get(self, kind: str, name: str) -> type:
        """Return the class registered under `name`.

        Raises:
            UnknownNameError: nothing is; the message lists what there is and why some of it failed.
        """
        if (kind, name) not in self._components:
            names = [found.name for found in self.components(kind)]
            failed = "".join(f" Plugin {f.origin} failed: {f.reason}" for f in self.failures)
            raise UnknownNameError(f"No {kind} is named {name!r}. {suggest(name, names)}{failed}")
        return self._components[kind, name].cls

    def create(self, kind: str, name: str, /, **options: Any) -> Any:
        """Construct the component `name` with its options.

        Raises:
            UnknownNameError: no such component, or no such option of it.
            InvalidValueError: an option has a value that is not allowed.
        """
        cls = self.get(kind, name)
        allowed = inspect.signature(cls).parameters
        for option in options:
            if option not in allowed:
                raise UnknownNameError(
                    f"The {kind} {name!r} has no option {option!r}. {suggest(option, allowed)}"
                )
        try:
            return cls(**options)
        except (TypeError, ValueError) as error:
            raise InvalidValueError(f"The {kind} {name!r}: {error}") from error

    def register(self, plugin: object, origin: Origin) -> None:
        """Register the hooks of a module or object, as if an entry point had named it.

        A class that breaks its contract or takes a name already taken is refused, recorded in
        `failures` and warned about; the others of the same plugin are kept.

        Raises:
            PluginError: a hook is misspelt, or returns no list. What a hook raises comes through.
        """
        self._manager.register(plugin, name=f"{origin.package}:{origin.plugin}")
        try:
            self._manager.check_pending()
            offered = [(kind, cls) for kind in KINDS.values() for cls in self._call(plugin, kind)]
        except BaseException as error:
            self._manager.unregister(plugin)
            if isinstance(error, pluggy.PluginValidationError):
                hooks = [kind.hook for kind in KINDS.values()]
                raise PluginError(f"{error}. {suggest('', hooks)}") from error
            raise
        for kind, cls in offered:
            self._add(kind, cls, origin)

    def _load(self, origin: Origin, point: EntryPoint) -> None:
        try:
            self.register(point.load(), origin)
        except (Exception, SystemExit) as error:  # whatever a stranger does, the others go on
            reason = (
                str(error) if isinstance(error, FPDMError) else f"{type(error).__name__}: {error}"
            )
            self._refuse(Failure(origin, reason))

    def _call(self, plugin: object, kind: Kind) -> Iterable[object]:
        found: list[object] = []
        for implementation in getattr(self._manager.hook, kind.hook).get_hookimpls():
            if implementation.plugin is plugin:
                classes = implementation.function()
                if not isinstance(classes, (list, tuple)):
                    raise PluginError(
                        f"{kind.hook} returned {classes!r}: must be a list of classes."
                    )
                found += classes
        return found

    def _add(self, kind: Kind, cls: object, origin: Origin) -> None:
        reason = _unfit(kind, cls)
        if reason is None:
            found = Component(kind.name, cast("Any", cls).name, cast("type", cls), origin)
            taken = self._components.setdefault((kind.name, found.name), found)
            if taken is found:
                return
            reason = (
                f"the {kind.name} {found.name!r} is already registered by plugin {taken.origin}; "
                f"choose another name."
            )
        self._refuse(Failure(origin, reason))

    def _refuse(self, failure: Failure) -> None:
        self.failures.append(failure)
        warnings.warn(
            f"fpdm plugin {failure.origin}: {failure.reason}", PluginWarning, stacklevel=2
        )


def _origin(point: EntryPoint) -> Origin:
    if point.dist is None:
        return Origin(point.name)
    return Origin(point.name, point.dist.name, point.dist.version)


def _unfit(kind: Kind, cls: object) -> str | None:
    """Why a class cannot be a component of this kind; None if it can."""
    if not (isinstance(cls, type) and issubclass(cls, kind.interface)):
        return f"{kind.hook} returned {cls!r}: must be subclasses of {kind.interface.__name__}."
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        return f"{cls.__name__} is abstract: it lacks {', '.join(missing)}."
    name = getattr(cls, "name", None)
    if not (isinstance(name, str) and name):
        return f"{cls.__name__} has no name: add `name: ClassVar[str] = ...`."
    return None


@cache
def host() -> PluginHost:
    """The host of the installed plugins, loaded on the first look-up."""
    return PluginHost()


Spec = str | Mapping[str, Any]
"""A component by name, or by name with options: `{"name": "anderson", "memory": 5}`."""


def resolve(kind: str, spec: object) -> Any:
    """Return a component: the object given, or the one that a name or a mapping describes.

    Raises:
        InvalidValueError: `spec` is none of these.
    """
    if isinstance(spec, KINDS[kind].interface):
        return spec
    if isinstance(spec, str):
        return host().create(kind, spec)
    if isinstance(spec, Mapping) and isinstance(spec.get("name"), str):
        return host().create(kind, spec["name"], **{k: v for k, v in spec.items() if k != "name"})
    raise InvalidValueError(
        f"{kind}={spec!r}: must be a name, a mapping with a name and options, or a "
        f"{KINDS[kind].interface.__name__}."
    )


def describe(component: Any) -> dict[str, Any]:
    """The inverse of `resolve`, as plain data that can be saved: name and options."""
    options = attrs.asdict(component) if attrs.has(type(component)) else {}
    return {"name": component.name, **options}


def solver(name: str, **options: Any) -> FixedPointSolver:
    """Return the solver registered under `name`, with its options.

    Raises:
        UnknownNameError: no such solver, or no such option of it; the message names the nearest.
        InvalidValueError: an option has a value that is not allowed.

    Examples:
        >>> solver("anderson", memory=3).memory
        3
    """
    return cast("FixedPointSolver", host().create("solver", name, **options))


def allocation(name: str, **options: Any) -> AllocationPolicy:
    """Return the allocation policy registered under `name`; raises like `solver`."""
    return cast("AllocationPolicy", host().create("allocation", name, **options))


def init(name: str, **options: Any) -> InitStrategy:
    """Return the init strategy registered under `name`; raises like `solver`."""
    return cast("InitStrategy", host().create("init", name, **options))


def gradient(name: str, **options: Any) -> GradientEstimator:
    """Return the gradient estimator registered under `name`; raises like `solver`."""
    return cast("GradientEstimator", host().create("gradient", name, **options))


__all__ = [
    "KINDS",
    "Component",
    "Failure",
    "Origin",
    "PluginHost",
    "Spec",
    "allocation",
    "describe",
    "gradient",
    "host",
    "init",
    "resolve",
    "solver",
]
