"""The plugin host: what is installed, and how a component is found by its name."""

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
