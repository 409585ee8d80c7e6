"""Watching a run: the fixed-point problems that it meets, one at each timestep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from torch import Tensor

from fpdm.interfaces import FixedPointSolver, InitStrategy
from fpdm.solution import Moment, Solution, Visited


@frozen(eq=False)
class Problem:
    """What the implicit layer is asked at one timestep.

    Attributes:
        f: the map.
        features: where a solve may start, (B, ...), or (2 B, ...) where the run is guided.
        history: the timesteps before, oldest first.
        moment: which timestep it is.
    """

    f: Callable[[Tensor], Tensor]
    features: Tensor
    history: tuple[Visited, ...]
    moment: Moment

    def start(self, init: InitStrategy) -> Tensor:
        """Where a strategy starts, (B, ...).

        Args:
            init: the strategy.
        """
        recent = self.history[-init.lookback :] if init.lookback else ()
        return init.initial(self.features, recent, self.moment)


class WatchedInit(InitStrategy):
    """Starts where another strategy does, and keeps what it is asked.

    Args:
        init: the other one.
        lookback: how many past timesteps are kept at least.
    """

    def __init__(self, init: InitStrategy, lookback: int) -> None:
        self.init = init
        self.lookback = max(lookback, init.lookback)  # type: ignore[misc]
        self.asked: tuple[Tensor, tuple[Visited, ...], Moment] | None = None

    def initial(self, features: Tensor, history: Sequence[Visited], moment: Moment) -> Tensor:
        """Return the start of the other one, (B, ...)."""
        self.asked = (features, tuple(history), moment)
        recent = tuple(history)[-self.init.lookback :] if self.init.lookback else ()
        return self.init.initial(features, recent, moment)


class WatchedSolver(FixedPointSolver):
    """Solves as another solver does, and shows each problem before it is solved.

    Args:
        solver: the other one.
        init: of the same run.
        look: what the problems are shown to.
    """

    def __init__(
        self, solver: FixedPointSolver, init: WatchedInit, look: Callable[[Problem], None]
    ) -> None:
        self.solver, self.init, self.look = solver, init, look
        self.carry = solver.carry

    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        evals: int,
        tol: float | None = None,
        **going_on: Any,
    ) -> Solution:
        """Show the problem, and solve it.

        Args:
            f: the map, which counts its calls; what looks at it is given the one that does not.
            x0: where to start, (B, ...).
            evals: evaluations granted.
            tol: a relative residual at which a sample stops.
            going_on: the `carry`, where there is one.
        """
        uncounted = getattr(f, "f", f)  # what is looked at is not charged to the run
        if self.init.asked is not None:
            self.look(Problem(uncounted, *self.init.asked))
        return self.solver.solve(f, x0, evals=evals, tol=tol, **going_on)
