"""Where a compiled solve starts: one program for the first timestep of a run and for all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from attrs import evolve
from torch import Tensor

from fpdm import batch
from fpdm.compiling.leaves import mapped
from fpdm.interfaces import FixedPointSolver, InitStrategy
from fpdm.solution import NOWHERE, Moment, Visited

NUMBERS = ("index", "steps", "timestep", "log_snr")
"""Of a moment, what a program can be given anew at every timestep."""


class Selected(InitStrategy):
    """What an init makes of as much of the history as there is.

    A program is for a history of full length. Where there has not been so much, what stands in its
    place is not looked at: every start that is possible is computed, and one is chosen.

    Args:
        init: what decides where a solve starts.
        depth: timesteps that have been, at most its `lookback`; (), int64.
    """

    def __init__(self, init: InitStrategy, depth: Tensor) -> None:
        self.init = init
        self.depth = depth
        self.lookback = init.lookback  # type: ignore[misc]

    def initial(self, features: Tensor, history: Sequence[Visited], moment: Moment) -> Tensor:
        """Return the start that belongs to the depth, shaped like the features, (B, ...)."""
        start = self.init.initial(features, (), moment)
        for length in range(1, self.lookback + 1):
            longer = self.init.initial(features, history[-length:], moment)
            start = torch.where(self.depth >= length, longer, start)
        return start


def blank_of(visited: Visited, solver: FixedPointSolver) -> Visited:
    """What stands for a timestep that has not been.

    Args:
        visited: one that was solved without iterations.
        solver: of which it carries what knows nothing.

    Returns:
        The same with tensors of its own, each for itself.
    """
    solution = visited.solution
    if solver.carry and (blank := getattr(solver, "blank", None)) is not None:
        solution = evolve(solution, carry=blank(visited.features))
    return mapped(evolve(visited, solution=solution), torch.clone)


class _Glass(Moment):
    """A moment that notes what is read of it."""

    __slots__ = ("read",)
    read: set[str]

    def __getattribute__(self, name: str) -> Any:
        if name in (*NUMBERS, "previous"):
            object.__getattribute__(self, "read").add(name)
        return object.__getattribute__(self, name)


def read_of_moments(init: InitStrategy, visited: Visited) -> set[str]:
    """What an init reads of moments, which are other numbers at every timestep.

    Args:
        init: what is asked for a start, with every length of history that it looks back.
        visited: stands for every timestep.

    Returns:
        Names of attributes of `Moment`.
    """
    read: set[str] = set()

    def glass() -> Moment:
        number = visited.moment
        seen = _Glass(number.index, number.steps, number.timestep, number.log_snr, number.previous)
        object.__setattr__(seen, "read", read)
        return seen

    for length in range(init.lookback + 1):
        history = tuple(Visited(glass(), visited.features, visited.solution) for _ in range(length))
        init.initial(visited.features, history, glass())
    return read


Seen = Callable[[Moment, torch.device], Moment]
"""How a program sees moments: one of the three that follow."""


def unseen(moment: Moment, device: torch.device) -> Moment:
    """A moment that is the same for all, for an init that looks at none.

    Args:
        moment: plain numbers, which are left out.
        device: not needed.

    Returns:
        A moment that is nowhere.
    """
    del moment, device
    return NOWHERE


def as_it_is(moment: Moment, device: torch.device) -> Moment:
    """A moment of plain numbers, for an init that is not compiled.

    Args:
        moment: plain numbers.
        device: not needed.

    Returns:
        The moment itself.
    """
    del device
    return moment


def as_tensors(moment: Moment, device: torch.device) -> Moment:
    """A moment whose numbers are tensors, so that a program does not depend on them.

    Args:
        moment: plain numbers.
        device: where the tensors go.

    Returns:
        The same moment, its numbers of shape (), float64 or int64.
    """

    def tensor(number: float | None) -> Any:
        if number is None:
            return None
        dtype = torch.int64 if isinstance(number, int) else batch.widest(device)
        return torch.tensor(number, dtype=dtype, device=device)

    return Moment(**{name: tensor(getattr(moment, name)) for name in NUMBERS})
