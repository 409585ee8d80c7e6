"""The plugin host: what is installed, and how a component is found by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.runtime.lazy import lazy

if TYPE_CHECKING:
    from fpdm.plugins.components import KINDS, Component, Kind, Origin
    from fpdm.plugins.discovery import GROUP
    from fpdm.plugins.failures import Failure
    from fpdm.plugins.lookup import (
        Spec,
        allocation,
        dataset,
        describe,
        gradient,
        host,
        init,
        network,
        resolve,
        solver,
    )
    from fpdm.plugins.registry import PluginHost

__all__ = [
    "GROUP",
    "KINDS",
    "Component",
    "Failure",
    "Kind",
    "Origin",
    "PluginHost",
    "Spec",
    "allocation",
    "dataset",
    "describe",
    "gradient",
    "host",
    "init",
    "network",
    "resolve",
    "solver",
]

__getattr__ = lazy(  # what needs PyTorch loads when it is first used
    __name__,
    {
        "GROUP": "fpdm.plugins.discovery",
        "KINDS": "fpdm.plugins.components",
        "Component": "fpdm.plugins.components",
        "Failure": "fpdm.plugins.failures",
        "Kind": "fpdm.plugins.components",
        "Origin": "fpdm.plugins.components",
        "PluginHost": "fpdm.plugins.registry",
        "Spec": "fpdm.plugins.lookup",
        "allocation": "fpdm.plugins.lookup",
        "dataset": "fpdm.plugins.lookup",
        "describe": "fpdm.plugins.lookup",
        "gradient": "fpdm.plugins.lookup",
        "host": "fpdm.plugins.lookup",
        "init": "fpdm.plugins.lookup",
        "network": "fpdm.plugins.lookup",
        "resolve": "fpdm.plugins.lookup",
        "solver": "fpdm.plugins.lookup",
    },
)
