"""Fixed-point problems of the literature, and what a good solver spends on them.

Each is one sample, with the start and the accuracy at which the literature on Anderson acceleration
quotes it: expansive, oscillating, stiff and rank-deficient ones among them. The logit game is a
quantal response equilibrium (McKelvey and Palfrey, Games Econ. Behav. 10, 1995), far from
contractive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from fpdm.interfaces import FixedPointSolver


@frozen(eq=False)
class Classical:
    """A problem with a limit of evaluations.

    Attributes:
        name: in words.
        f: the map, (1, D) → (1, D).
        x0: where to start, (1, D), float64.
        solved: whether a value is close enough.
        within: the evaluations that a good solver needs at most.
        options: what Anderson acceleration is given beyond its defaults.
    """

    name: str
    f: Callable[[Tensor], Tensor]
    x0: Tensor
    solved: Callable[[Tensor], bool]
    within: int
    options: Mapping[str, Any] = MappingProxyType({})

    def evals(self, solver: FixedPointSolver, *, most: int = 120) -> int | None:
        """The fewest evaluations with which `solver` solves it; None if `most` are not enough.

        Args:
            solver: what is tried.
            most: evaluations after which it is given up.
        """
        for count in range(most + 1):
            if self.solved(solver.solve(self.f, self.x0, evals=count).value):
                return count
        return None


def classical() -> tuple[Classical, ...]:
    """The problems."""
    return (
        Classical("0.5 cos x", _half_cosine, _row(0.0), _near(0.45018361129487355, 1e-5), 8),
        Classical(
            "diag(.9, .99, .999) x",
            lambda z: z * _row(0.9, 0.99, 0.999),
            _row(1.0, 0.4, -0.2),
            _near(0.0, 1e-5),
            8,
        ),
        Classical(
            "cos x + (0, π/2)",
            _shifted_cosine,
            _row(0.3, math.pi / 4),
            lambda value: _gap(_shifted_cosine, value) <= 1e-6,
            10,
        ),
        Classical(
            "seven rotations",
            _rotations,
            torch.zeros(1, 14, dtype=torch.float64),
            lambda value: float((value - CENTRE).norm()) <= 1e-4,
            20,
            {"memory": 14},
        ),
        Classical(
            "(0.5 √|x₁ + x₂|, 1.5 x₁ + 0.5 x₂)",
            _root,
            _row(0.3, 900.0),
            lambda value: float((value - _row(1.0, 3.0)).norm()) <= 1e-10,
            20,
        ),
        Classical(
            "tanh(x + 1)",
            lambda z: (z + 1).tanh(),
            _row(0.0),
            _near(0.9611797513715394, 1e-12),
            12,
        ),
        Classical(
            "logit game of 8",
            _logit_game,
            torch.full((1, 8), 0.5, dtype=torch.float64),
            lambda value: _gap(_logit_game, value) <= 2e-3,
            100,
        ),
    )


def _row(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


CENTRE = torch.arange(1.0, 15.0, dtype=torch.float64)[None]
ANGLES = [math.pi / part for part in (2, 3, 4, 5, 6, 1.27, 1.73)]
ROTATION = torch.block_diag(
    *[
        torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
            dtype=torch.float64,
        )
        for angle in ANGLES
    ]
)
TASTE = -0.9 + 1.8 * torch.arange(8.0, dtype=torch.float64) / 7


def _half_cosine(z: Tensor) -> Tensor:
    return 0.5 * z.cos()


def _shifted_cosine(z: Tensor) -> Tensor:
    return z.cos() + _row(0.0, math.pi / 2)


def _rotations(z: Tensor) -> Tensor:
    return (z - CENTRE) @ ROTATION.mT + CENTRE


def _root(z: Tensor) -> Tensor:
    first, second = z.unbind(dim=1)
    return torch.stack([0.5 * (first + second).abs().sqrt(), 1.5 * first + 0.5 * second], dim=1)


def _logit_game(p: Tensor) -> Tensor:
    others = (p.sum(dim=1, keepdim=True) - p) / 7
    return torch.sigmoid((TASTE - 16 * others) / 0.1)


def _near(solution: float, distance: float) -> Callable[[Tensor], bool]:
    return lambda value: float((value - solution).norm()) <= distance


def _gap(f: Callable[[Tensor], Tensor], value: Tensor) -> float:
    return float((f(value) - value).norm())
