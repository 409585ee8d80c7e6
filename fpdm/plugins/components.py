"""The values of the plugin system: kinds, components, and where a component comes from."""

from __future__ import annotations

import inspect
from pathlib import Path

from attrs import Factory, field, frozen
from torch import nn

from fpdm.data.dataset import Dataset
from fpdm.interfaces import (
    AllocationPolicy,
    FixedPointSolver,
    GradientEstimator,
    InitStrategy,
    Network,
)


@frozen
class Kind:
    """One of the kinds of component.

    Attributes:
        name: in the singular, `solver`.
        interface: what a component of the kind implements.
        hook: what registers it.
        base: the class that its classes derive from.
        late: whether a hook is asked when a component of the kind is first looked up, because what
            it imports takes long, and is not wanted by everybody.
        given: arguments that are not its options: who builds it knows them.
        may_require: whether an option may be without a default.
        table: of a training's configuration, where it names a component of the kind; else empty.
        key: of that table, whose value is the name.
    """

    name: str
    interface: type
    hook: str
    base: type = field(default=Factory(lambda kind: kind.interface, takes_self=True))
    late: bool = False
    given: tuple[str, ...] = ()
    may_require: bool = False
    table: str = ""
    key: str = ""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("solver", FixedPointSolver, "fpdm_register_solvers"),
        Kind("allocation", AllocationPolicy, "fpdm_register_allocations"),
        Kind("init", InitStrategy, "fpdm_register_inits"),
        Kind("gradient", GradientEstimator, "fpdm_register_gradients"),
        Kind(
            "network",
            Network,
            "fpdm_register_networks",
            base=nn.Module,
            late=True,
            given=("sample_size", "in_channels", "num_classes", "condition_size"),
            table="model",
            key="network",
        ),
        Kind(
            "dataset",
            Dataset,
            "fpdm_register_datasets",
            late=True,
            may_require=True,
            table="data",
            key="kind",
        ),
    )
}
HOOKS = tuple(kind.hook for kind in KINDS.values())


@frozen
class Origin:
    """Where a component comes from: a plugin, and the distribution that ships it.

    Attributes:
        plugin: the name of the entry point.
        package: the name of the distribution; empty for a plugin registered by hand.
        version: of the distribution.
        value: what the entry point names, such as `my_package.hooks`.
    """

    plugin: str
    package: str = ""
    version: str = ""
    value: str = ""

    @property
    def module(self) -> str:
        """The module that the entry point names."""
        return self.value.partition(":")[0].strip()

    def __str__(self) -> str:
        package = f"{self.package} {self.version}".strip()
        return f"{self.plugin!r}{f' of {package}' if package else ''}"


@frozen
class Component:
    """A class that a plugin registered.

    Attributes:
        kind: of component, `solver`.
        name: under which it is looked up.
        cls: the class.
        origin: where it comes from.
    """

    kind: str
    name: str
    cls: type
    origin: Origin

    @property
    def file(self) -> Path | None:
        """Where the class is written; None if that is in no file."""
        return source_file(self.cls)


def implements(component: object, interface: type) -> bool:
    """Whether an object is of an interface, without asking classes of strangers.

    `isinstance` asks every subclass of an abstract class, and one that raises spoils it for all.

    Args:
        component: anything.
        interface: a class.
    """
    return interface in type(component).__mro__


def source_file(cls: object) -> Path | None:
    """The file that a class is written in; None if there is none, or it is no class.

    Args:
        cls: what a plugin offered.
    """
    try:
        found = inspect.getsourcefile(cls) if isinstance(cls, type) else None
    except Exception:  # built in, made at a prompt, or with a metaclass that lies
        return None
    return Path(found) if found else None


def source_line(cls: object) -> int | None:
    """The line that a class begins in; None where that is not known. Reads the file.

    Args:
        cls: what a plugin offered.
    """
    try:
        return inspect.getsourcelines(cls)[1] if isinstance(cls, type) else None
    except Exception:  # likewise
        return None
