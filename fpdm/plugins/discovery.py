"""Finding entry points: which plugins are installed, and which of them are to stay out."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from attrs import frozen

from fpdm.errors import PluginWarning, suggest
from fpdm.plugins.components import Origin

GROUP = "fpdm"
VARIABLE = "FPDM_DISABLE_PLUGINS"
"""The environment variable that names plugins, or distributions, that are not to be loaded."""


@frozen
class Found:
    """An entry point, and where it comes from.

    Attributes:
        point: the entry point.
        origin: the plugin that it names.
    """

    point: EntryPoint
    origin: Origin

    @classmethod
    def of(cls, point: EntryPoint) -> Found:
        """The entry point with what its distribution says of itself.

        Args:
            point: of an installed package, or made by hand.
        """
        try:
            package, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
        except Exception:  # half removed: the metadata is gone, the entry point is not
            package = version = ""
        return cls(point, Origin(point.name, package or "", version or "", point.value))


def ours_first(points: Iterable[EntryPoint]) -> list[Found]:
    """The entry points in the order in which they are loaded, so that ours take their names first.

    Args:
        points: of the group.
    """
    return sorted(map(Found.of, points), key=_turn)


def installed() -> tuple[list[Found], list[Origin]]:
    """The entry points of the installed packages to load, and those that `VARIABLE` leaves out.

    A name there that fits neither a plugin nor a distribution is a `PluginWarning`.
    """
    every = ours_first(entry_points(group=GROUP))
    disabled: list[Origin] = []
    for name in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        named = [found.origin for found in every if _names(name, found.origin)]
        if not named:
            names = {word for found in every for word in _words(found.origin)}
            warnings.warn(
                f"{VARIABLE}: no plugin or package is named {name!r}. {suggest(name, names)}",
                PluginWarning,
                stacklevel=2,
            )
        disabled += [origin for origin in named if origin not in disabled]
    return [found for found in every if found.origin not in disabled], disabled


def _turn(found: Found) -> tuple[bool, str]:
    package = _canonical(found.origin.package)
    return package != GROUP, package


def _names(name: str, origin: Origin) -> bool:
    return _canonical(name) in map(_canonical, _words(origin))


def _words(origin: Origin) -> list[str]:
    return [word for word in (origin.plugin, origin.package) if word]


def _canonical(package: str) -> str:
    """The name of a distribution, as package indices compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()
