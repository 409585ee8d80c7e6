"""Contractions with known fixed points: what a solver is tried on.

Every sample of a batch is a problem of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor


@frozen(eq=False, repr=False)
class Problem:
    """A batch of contractions.

    Attributes:
        x0: where to start, (B, ...).
        solution: the fixed points, (B, ...), float64.
        parameters: what the map of each sample depends on, each (B, ...), float64.
        law: `(parameters, z) → f(z)`, on rows (B, D).
        factor: how much `f` shrinks distances.
    """

    x0: Tensor
    solution: Tensor
    parameters: tuple[Tensor, ...]
    law: Callable[[tuple[Tensor, ...], Tensor], Tensor]
    factor: float

    def __repr__(self) -> str:
        state = f"{tuple(self.x0.shape)} {self.x0.dtype}"
        return f"<{self.law.__name__.strip('_')} of {state}, factor={self.factor:.2g}>"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(repr(self))  # hypothesis would print all of the tensors

    def f(self, z: Tensor) -> Tensor:
        """The map; keeps shape and dtype, and computes in float32 or wider.

        Args:
            z: a state, (B, ...).

        Returns:
            The image of `z`, (B, ...).
        """
        wide = torch.promote_types(z.dtype, torch.float32)
        rows = z.to(wide).reshape(len(z), math.prod(z.shape[1:]))
        image = self.law(tuple(parameter.to(wide) for parameter in self.parameters), rows)
        return image.reshape(z.shape).to(z.dtype)

    def alone(self, index: int) -> Problem:
        """The problem of one sample, as a batch of one.

        Args:
            index: which sample, from 0.
        """
        keep = slice(index, index + 1)
        return Problem(
            self.x0[keep],
            self.solution[keep],
            tuple(parameter[keep] for parameter in self.parameters),
            self.law,
            self.factor,
        )

    def error(self, value: Tensor) -> float:
        """The largest distance of a sample from its fixed point, relative to 1 + its norm.

        Args:
            value: what a solver has found, (B, ...).
        """
        rows = value.double().reshape(len(value), math.prod(value.shape[1:]))
        solution = self.solution.reshape(rows.shape)
        error = (rows - solution).norm(dim=1) / (1 + solution.norm(dim=1))
        return float(error.max()) if len(error) else 0.0


def affine(
    shape: Sequence[int], *, factor: float, seed: int, dtype: torch.dtype = torch.float64
) -> Problem:
    """`A z + b` with spectral norm `factor`, and the solution of a dense linear system.

    Args:
        shape: of the state, batch first.
        factor: how much the map shrinks distances, in (0, 1).
        seed: of the map and the start.
        dtype: of the start.

    Returns:
        The problem, its fixed point exact to float64.
    """
    rng = torch.Generator().manual_seed(seed)
    matrix, offset = _matrix(shape, factor, rng), _normal(shape, rng)
    size = matrix.shape[-1]
    identity = torch.eye(size, dtype=torch.float64)
    solution = torch.linalg.solve(identity - matrix, offset) if len(offset) else offset
    return Problem(
        _start(shape, rng, dtype), solution.reshape(shape), (matrix, offset), _affine, factor
    )


def network(
    shape: Sequence[int], *, factor: float, seed: int, dtype: torch.dtype = torch.float64
) -> Problem:
    """`tanh(A z + b)` with spectral norm `factor`, solved by plain iteration in float64.

    Args:
        shape: of the state, batch first.
        factor: how much the map shrinks distances at most, in (0, 1).
        seed: of the map and the start.
        dtype: of the start.

    Returns:
        The problem, its fixed point exact to float64.
    """
    rng = torch.Generator().manual_seed(seed)
    parameters = _matrix(shape, factor, rng), _normal(shape, rng)
    return _iterated(_network, parameters, shape, rng, factor, dtype)


def cosine(
    shape: Sequence[int], *, factor: float, seed: int, dtype: torch.dtype = torch.float64
) -> Problem:
    """`factor cos z + b` elementwise, solved by plain iteration in float64.

    Args:
        shape: of the state, batch first.
        factor: how much the map shrinks distances at most, in (0, 1).
        seed: of the map and the start.
        dtype: of the start.

    Returns:
        The problem, its fixed point exact to float64.
    """
    rng = torch.Generator().manual_seed(seed)
    offset = _normal(shape, rng)
    parameters = torch.full_like(offset, factor), offset
    return _iterated(_cosine, parameters, shape, rng, factor, dtype)


def _affine(parameters: tuple[Tensor, ...], z: Tensor) -> Tensor:
    matrix, offset = parameters
    return (matrix @ z[:, :, None])[:, :, 0] + offset


def _network(parameters: tuple[Tensor, ...], z: Tensor) -> Tensor:
    return _affine(parameters, z).tanh()


def _cosine(parameters: tuple[Tensor, ...], z: Tensor) -> Tensor:
    scale, offset = parameters
    return scale * z.cos() + offset


def _iterated(
    law: Callable[[tuple[Tensor, ...], Tensor], Tensor],
    parameters: tuple[Tensor, ...],
    shape: Sequence[int],
    rng: torch.Generator,
    factor: float,
    dtype: torch.dtype,
) -> Problem:
    z = torch.zeros_like(parameters[1])
    for _ in range(math.ceil(-40 / math.log10(max(factor, 1e-3)) / 2)):  # factor^n = 1e-20
        z = law(parameters, z)
    return Problem(_start(shape, rng, dtype), z.reshape(tuple(shape)), parameters, law, factor)


def _matrix(shape: Sequence[int], factor: float, rng: torch.Generator) -> Tensor:
    size = math.prod(shape[1:])
    matrix = torch.randn(shape[0], size, size, dtype=torch.float64, generator=rng)
    if not len(matrix):
        return matrix
    return factor * matrix / torch.linalg.matrix_norm(matrix, ord=2)[:, None, None]


def _normal(shape: Sequence[int], rng: torch.Generator) -> Tensor:
    return torch.randn(shape[0], math.prod(shape[1:]), dtype=torch.float64, generator=rng)


def _start(shape: Sequence[int], rng: torch.Generator, dtype: torch.dtype) -> Tensor:
    return torch.randn(tuple(shape), dtype=torch.float64, generator=rng).to(dtype)
