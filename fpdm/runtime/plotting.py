"""Whether figures can be drawn: matplotlib comes with an extra."""

from __future__ import annotations

from importlib.util import find_spec


def can_plot() -> bool:
    """Whether there is matplotlib, which draws."""
    return find_spec("matplotlib") is not None
