"""The components that come with the package: which are promised, and which there are."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from attrs import asdict, frozen

import fpdm
from fpdm.allocator import places
from fpdm.calibration import Calibration, Sensitivity
from fpdm.interfaces import AllocationPolicy
from fpdm.plugins import KINDS
from fpdm.solution import Moment
from fpdm.testing.calibrations import calibration_for

PROMISED = {
    "solver": [
        "naive",
        "anderson",
        "broyden",
        "torchdeq-naive",
        "torchdeq-anderson",
        "torchdeq-broyden",
    ],
    "allocation": [
        *("constant", "increasing", "decreasing", "adaptive", "measured", "weighted"),
    ],
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


@frozen
class Anywhere(Calibration):
    """A calibration of any run."""

    def sensitivity(self, moments: Sequence[Moment]) -> Sensitivity:
        """The same wherever the timesteps lie."""
        del moments
        return self.sensitivities[0]


def allocation(name: str) -> AllocationPolicy:
    """A policy by name; one that needs a calibration has one that is made up."""
    policy = fpdm.allocation(name)
    if not policy.calibrated:
        return policy
    made = calibration_for(places(9))
    return fpdm.allocation(name, calibration=Anywhere(**asdict(made, recurse=False)))
