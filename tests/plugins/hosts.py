"""Plugins made in a test, and what a host has of them."""

from types import SimpleNamespace

import fpdm
from fpdm.plugins import PluginHost


def plugin(**hooks) -> SimpleNamespace:
    return SimpleNamespace(**{name: fpdm.hookimpl(hook) for name, hook in hooks.items()})


def names(loaded: PluginHost, kind: str) -> list[str]:
    return [found.name for found in loaded.components(kind)]
