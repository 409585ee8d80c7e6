"""`fpdm plugins`."""

from __future__ import annotations

import warnings

from fpdm.cli import console
from fpdm.errors import PluginWarning
from fpdm.plugins import host

EXAMPLES = ("fpdm plugins",)


def plugins() -> None:
    """List the solvers, allocations, inits and gradients that are installed, and what failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # the second table says it all
        loaded = host()
    console.table(
        "Components",
        ("kind", "name", "class", "package", "version"),
        (
            (
                found.kind,
                found.name,
                f"{found.cls.__module__}:{found.cls.__qualname__}",
                found.origin.package,
                found.origin.version,
            )
            for found in loaded.components()
        ),
    )
    if loaded.failures:
        console.table(
            "Failed",
            ("plugin", "package", "version", "reason"),
            (
                (failed.origin.plugin, failed.origin.package, failed.origin.version, failed.reason)
                for failed in loaded.failures
            ),
        )
