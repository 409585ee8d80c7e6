"""Registering plugins: what each offers is checked, and kept or refused with a reason."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any, cast

import pluggy

from fpdm import hookspecs
from fpdm.errors import InvalidValueError, PluginError, PluginWarning, UnknownNameError, suggest
from fpdm.plugins.components import HOOKS, KINDS, Component, Kind, Origin, source_file, source_line
from fpdm.plugins.discovery import GROUP, VARIABLE, Found, installed, ours_first
from fpdm.plugins.failures import Failure, module_file, shown
from fpdm.plugins.fitness import unfit
from fpdm.plugins.options import parameters


class PluginHost:
    """Holds the components that plugins registered.

    Args:
        found: the entry points to load. None takes those of the installed packages, but for those
            that `FPDM_DISABLE_PLUGINS` names; `()` makes an empty host for tests.

    Attributes:
        disabled: the plugins that were left out, and never imported.
    """

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._components: dict[tuple[str, str], Component] = {}
        self._failures: list[Failure] = []
        self._loaded: list[tuple[object, Origin]] = []
        self._asked = {kind.name for kind in KINDS.values() if not kind.late}
        self._lock = threading.RLock()
        points, self.disabled = installed() if found is None else (ours_first(found), [])
        for each in points:
            self._load(each)

    @property
    def failures(self) -> list[Failure]:
        """The plugins, or classes of them, that were refused."""
        self._ask()
        return self._failures

    def components(self, kind: str | None = None) -> list[Component]:
        """What is registered, in order of kind and registration.

        Args:
            kind: of component, such as `solver`; None for all.
        """
        self._ask(kind)
        order = list(KINDS)
        every = sorted(self._components.values(), key=lambda found: order.index(found.kind))
        return [found for found in every if kind in (None, found.kind)]

    def get(self, kind: str, name: str) -> type:
        """Return the class registered under `name`.

        Args:
            kind: of component, such as `solver`.
            name: of the component.

        Raises:
            UnknownNameError: nothing is; the message lists what there is, what failed and why, and
                what is disabled.
        """
        self._ask(kind)
        if (kind, name) not in self._components:
            names = [found.name for found in self.components(kind)]
            table = " Options are keys of a table beside the name." if ":" in name else ""
            raise UnknownNameError(
                f"No {kind} is named {name!r}. {suggest(name, names)}{table}{self.absent()}"
            )
        return self._components[kind, name].cls

    def create(self, kind: str, name: str, /, **options: Any) -> Any:
        """Construct the component `name` with its options.

        Args:
            kind: of component, such as `solver`.
            name: of the component.
            **options: of the component; those not given keep their defaults.

        Returns:
            An object of the class that is registered under the name.

        Raises:
            UnknownNameError: no such component, or no such option of it.
            InvalidValueError: an option has a value that is not allowed.
        """
        cls = self.get(kind, name)
        allowed = parameters(cls)
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

        Args:
            plugin: a module, or any object, with functions that `fpdm.hookimpl` marks.
            origin: what it is called in messages.

        Raises:
            PluginError: there is no hook, or one is misspelt, takes arguments or returns no list,
                or the plugin is registered already. What a hook raises comes through.
        """
        self._ask()  # those that were found come first
        self._register(plugin, origin, KINDS.values())

    def absent(self) -> str:
        """Why something that one looks for may not be here, as the tail of a message."""
        failed = "".join(f" {failure}" for failure in self._failures)
        disabled = ", ".join(map(str, self.disabled))
        return f"{failed} Disabled by {VARIABLE}: {disabled}." if disabled else failed

    def _load(self, found: Found) -> None:
        def register() -> None:
            plugin = found.point.load()
            self._register(plugin, found.origin, [k for k in KINDS.values() if not k.late])
            self._loaded.append((plugin, found.origin))

        self._guarded(register, found.origin)

    def _ask(self, kind: str | None = None) -> None:
        """Ask the plugins for components of late kinds: of one kind, or of all."""
        with self._lock:
            late = [each for each in KINDS.values() if each.name not in self._asked]
            for each in late:
                if kind in (None, each.name):
                    self._asked.add(each.name)
                    for plugin, origin in self._loaded:
                        self._guarded(partial(self._collect, plugin, origin, [each]), origin)

    def _register(self, plugin: object, origin: Origin, kinds: Iterable[Kind]) -> None:
        self._check_new(plugin, origin)
        self._check_hooks(plugin)
        try:
            self._manager.register(plugin, name=_key(origin))
            self._collect(plugin, origin, kinds)
        except BaseException:
            self._manager.unregister(plugin)
            raise

    def _collect(self, plugin: object, origin: Origin, kinds: Iterable[Kind]) -> None:
        """Add what a plugin offers, once all of it is there."""
        for kind, cls in [(each, cls) for each in kinds for cls in self._call(plugin, each)]:
            self._add(kind, cls, origin)

    def _guarded(self, call: Callable[[], None], origin: Origin) -> None:
        """Call what runs a stranger's code, which may exit or panic, so that the others go on."""
        try:
            call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._refuse(Failure.of(origin, error))

    def _check_new(self, plugin: object, origin: Origin) -> None:
        if (taken := self._manager.get_name(plugin)) is not None:
            raise PluginError(f"it is registered already, as {taken.partition(':')[2]!r}.")
        if self._manager.has_plugin(_key(origin)):
            raise PluginError("another plugin of this name is registered already.")

    def _check_hooks(self, plugin: object) -> None:
        marked = False
        for name in dir(plugin):
            marks = self._manager.parse_hookimpl_opts(plugin, name)
            if marks is None:
                continue
            marked = True
            hook = marks.get("specname") or name
            if hook not in HOOKS and not marks.get("optionalhook"):
                raise PluginError(f"there is no hook {hook!r}. {suggest(hook, HOOKS)}")
            if hook in HOOKS and (needed := _needed(getattr(plugin, name))):
                raise PluginError(f"{hook} takes {', '.join(needed)}: must take no arguments.")
        if not marked:
            unmarked = [hook for hook in HOOKS if hook in dir(plugin)]
            forgotten = f": add it to {', '.join(unmarked)}" if unmarked else ""
            raise PluginError(f"nothing in it is marked by @fpdm.hookimpl{forgotten}.")

    def _call(self, plugin: object, kind: Kind) -> Iterable[object]:
        found: list[object] = []
        for implementation in getattr(self._manager.hook, kind.hook).get_hookimpls():
            if implementation.plugin is plugin:
                classes = implementation.function()
                if not isinstance(classes, (list, tuple)):
                    raise PluginError(
                        f"{kind.hook} returned {shown(classes)}: must be a list of classes."
                    )
                found += classes
        return found

    def _add(self, kind: Kind, cls: object, origin: Origin) -> None:
        # a metaclass, a property or an option of the stranger's may raise
        self._guarded(lambda: self._add_fit(kind, cls, origin), origin)

    def _add_fit(self, kind: Kind, cls: object, origin: Origin) -> None:
        reason = unfit(kind, cls)
        if reason is None:
            found = Component(kind.name, cast("Any", cls).name, cast("type", cls), origin)
            taken = self._components.setdefault((kind.name, found.name), found)
            if taken is found:
                return
            reason = (
                f"the {kind.name} {found.name!r} is already registered by plugin {taken.origin}; "
                f"choose another name."
            )
        file = source_file(cls) or module_file(origin.module)
        self._refuse(Failure(origin, reason, file, source_line(cls)))

    def _refuse(self, failure: Failure) -> None:
        self._failures.append(failure)
        with suppress(PluginWarning):  # where warnings are errors, the others still go on
            warnings.warn(str(failure), PluginWarning, stacklevel=2)


def _key(origin: Origin) -> str:
    return f"{origin.package}:{origin.plugin}"


def _needed(hook: Any) -> list[str]:
    """The arguments that a hook cannot be called without."""
    return [
        name
        for name, parameter in inspect.signature(hook).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
