"""The components that come with the package: which are promised, and which there are."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from fpdm.plugins import KINDS

PROMISED = {
    "solver": [
        "naive",
        "anderson",
        "broyden",
        "torchdeq-naive",
        "torchdeq-anderson",
        "torchdeq-broyden",
    ],
    "allocation": ["constant", "increasing", "decreasing", "adaptive"],
    "init": ["features", "reuse", "extrapolate"],
    "gradient": ["sjfb", "jfb", "unrolled", "implicit", "phantom"],
    "network": ["fpdit", "dit"],
    "dataset": ["digits", "emoji", "image-folder", "latents", "fast-dit"],
}
"""Names that stay, by kind, in the order in which they are listed. There may be more."""


def own_entry_points(*, group: str = "fpdm") -> list[EntryPoint]:
    """Ours alone, whatever else is installed beside them."""
    return [each for each in entry_points(group=group) if each.dist and each.dist.name == "fpdm"]


@cache
def built_ins() -> dict[str, list[str]]:
    """The names there are, by kind, in the order of our hooks, which are called without a host."""
    hooks = [point.load() for point in own_entry_points()]
    return {
        kind: [cls.name for module in hooks for cls in getattr(module, KINDS[kind].hook, list)()]
        for kind in PROMISED
    }
