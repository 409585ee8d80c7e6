"""What a calibration tries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from fpdm import plugins
from fpdm.calibration import Spec, Way
from fpdm.checks import check_whole, row
from fpdm.diffusion import samplers
from fpdm.diffusion.spacing import check_spacing
from fpdm.errors import InvalidValueError, UnknownNameError, suggest

MOST = 1000
"""Timesteps of a run."""
USUAL = 2
"""Iterations of timesteps that are not looked at."""


def written(kind: str, spec: Any) -> Spec:
    """A component as a file has it: its name, or where options are not the usual ones, a mapping.

    Args:
        kind: `solver`, `init` or `allocation`.
        spec: by name, by mapping with options, or an object.

    Raises:
        InvalidValueError: it is none of these, or an option is not allowed.
        UnknownNameError: no component or option has such a name.

    Examples:
        >>> import fpdm
        >>> written("solver", fpdm.solver("naive"))
        'naive'
        >>> written("solver", fpdm.solver("naive", damping=0.5))
        {'name': 'naive', 'damping': 0.5}
    """
    found = plugins.describe(plugins.resolve(kind, spec))
    usual = plugins.describe(plugins.resolve(kind, found["name"]))
    options = {name: value for name, value in found.items() if value != usual.get(name)}
    return {"name": found["name"], **options} if options else str(found["name"])


def _solvers(given: Sequence[Any]) -> tuple[Spec, ...]:
    return tuple(written("solver", spec) for spec in given)


def _inits(given: Sequence[Any]) -> tuple[Spec, ...]:
    return tuple(written("init", spec) for spec in given)


def _allocations(given: Sequence[Any]) -> tuple[Spec, ...]:
    return tuple(written("allocation", spec) for spec in given)


@frozen
class Choices:
    """What a calibration tries.

    Attributes:
        schedulers: by name.
        spacings: of timesteps.
        iterations: at each timestep.
        solvers: in place of the network's own, around what was best with that; by name, by mapping
            with options, or objects, of which name and options are kept.
        inits: likewise.
        allocations: likewise in place of `constant`.
        lengths: timesteps of the runs in which single ones are looked at.
        counts: iterations that those are given, 2 among them.

    Raises:
        InvalidValueError: there is nothing to try, or iterations are no whole numbers.
        UnknownNameError: no scheduler, solver, init or allocation has such a name.
    """

    schedulers: tuple[str | None, ...] = field(default=("dpm++", "unipc"), converter=row)
    spacings: tuple[str | float | None, ...] = field(
        default=("late", "quadratic", "log-snr"), converter=row
    )
    iterations: tuple[int, ...] = field(default=(1, 2, 3, 5), converter=row)
    solvers: tuple[Spec, ...] = field(default=("naive",), converter=_solvers)
    inits: tuple[Spec, ...] = field(default=("features", "extrapolate"), converter=_inits)
    allocations: tuple[Spec, ...] = field(
        default=("increasing", "decreasing", "adaptive", "measured"),
        converter=_allocations,
    )
    lengths: tuple[int, ...] = field(default=(9, 30), converter=row)
    counts: tuple[int, ...] = field(default=(1, 2, 3, 5), converter=row)

    def __attrs_post_init__(self) -> None:
        """Check that there is something to try."""
        for name in ("schedulers", "spacings", "iterations"):
            if not getattr(self, name):
                raise InvalidValueError(f"{name}: must hold one at least.")
        for name in ("iterations", "counts"):
            for each in getattr(self, name):
                check_whole(name, each, minimum=1)
        for each in self.lengths:
            check_whole("lengths", each, minimum=2, maximum=MOST)
        rising = all(a < b for a, b in itertools.pairwise(self.counts))
        if self.counts[:2] != (1, USUAL) or not rising:
            raise InvalidValueError(
                f"counts={list(self.counts)}: must be 1, {USUAL} and more, each above the last."
            )
        for spacing in self.spacings:
            if spacing is not None:
                check_spacing(spacing)
        known = {*samplers.DIFFUSION, *samplers.FLOW_MATCHING}
        for scheduler in self.schedulers:
            if scheduler is not None and scheduler not in known:
                raise UnknownNameError(
                    f"No scheduler is named {scheduler!r}. {suggest(scheduler, known)}"
                )

    @property
    def grid(self) -> list[Way]:
        """The usual way, and others with the network's own solver and start, and equal shares."""
        ways = itertools.product(self.iterations, self.schedulers, self.spacings)
        return [Way(), *itertools.starmap(Way, ways)]

    def around(self, way: Way) -> list[Way]:
        """Return ways that differ from one in solver, start or allocation.

        Args:
            way: around which they are.
        """
        return [
            way.having(name, other)
            for name, others in (
                ("solver", self.solvers),
                ("init", self.inits),
                ("allocation", self.allocations),
            )
            for other in others
        ]
