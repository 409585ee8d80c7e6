"""What Anderson acceleration and Broyden's method have in common: steps along past secants."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from attrs import define, evolve, frozen
from torch import Tensor

from fpdm import batch
from fpdm.batch import Layout
from fpdm.errors import InvalidValueError
from fpdm.iteration import Evaluation, IterativeSolver
from fpdm_solvers.differences import Differences


@frozen(eq=False)
class Past:
    """An evaluation, the states as rows.

    Attributes:
        image: `f(z)`, (B, D).
        difference: `f(z) - z`, (B, D).
        gap: its norm, (B,).
    """

    image: Tensor
    difference: Tensor
    gap: Tensor


@define(eq=False)
class Secants:
    """What a secant method remembers, the states as rows in float32 or wider; it is overwritten.

    Attributes:
        method: the solver.
        layout: of the state.
        dtype: of the state.
        last: the last evaluation; None before the first.
        accelerated: whether the iterate made from it was more than a plain one, (B,).
        d_images: differences of successive images, the columns of dF.
        tests: the vectors with which the secant equations are multiplied, the columns of T.
        scale: the inverse length of each test, (B, m); 0 where a sample has forgotten it.
        matrix: of the equations, Tᵀ dR or what stands in for it, with unit tests, (B, m, m).
    """

    method: SecantSolver
    layout: Layout
    dtype: torch.dtype
    last: Past | None
    accelerated: Tensor
    d_images: Differences
    tests: Differences
    scale: Tensor
    matrix: Tensor


class SecantSolver(IterativeSolver):
    """Iterates `z_{k+1} = f(z_k) - dF γ` with `γ` from a small linear system for each sample.

    With the differences `dZ`, `dF` and `dR = dF - dZ` of the last iterates, images and residuals
    `r = f(z) - z`, a method is its choice of test vectors T and of the matrix in

        M γ = Tᵀ r_k

    where `M = Tᵀ dR` makes the extrapolated residual orthogonal to all of T. A row and a column of
    M are computed per evaluation.

    An iterate with `γ ≠ 0` whose residual grew past `safeguard` times the one before is rejected:
    that sample takes the plain step in its place. The evaluation spent on it counts.
    """

    safeguard: float

    @property
    def forgets(self) -> bool:
        """Whether a rejection empties the sample's memory, or stays in it as one more secant."""
        return False

    @property
    def shift(self) -> float:
        """What is added to the diagonal of M, relative to the squared lengths of the tests."""
        return 0.0

    @property
    @abstractmethod
    def window(self) -> int:
        """How many differences are kept."""

    @abstractmethod
    def border(
        self, past: Secants, last: Past, new: Past, learned: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Push the newest column of T, and return the newest row and column of M.

        Args:
            past: with the newest difference in `d_images`, but in nothing else.
            last: the evaluation from which the newest differences are taken.
            new: the evaluation to which they are taken.
            learned: the samples for which T is to change, (B,).

        Returns:
            (B, m) twice.
        """

    def mix(self, past: Secants, new: Past, gamma: Tensor) -> Tensor:
        """Return the next iterate, `f(z_k) - dF γ`; (B, D).

        Args:
            past: with all of the newest evaluation.
            new: that evaluation.
            gamma: (B, m).
        """
        return past.d_images.subtract(new.image, gamma)

    def start(self, z0: Tensor) -> Secants:
        """Begin without a past."""
        window, layout = self.window, Layout.of(z0)
        empty = z0.new_empty(len(layout.rows(z0)), 0, dtype=batch.widest(z0.device))
        return Secants(
            method=self,
            layout=layout,
            dtype=z0.dtype,
            last=None,
            accelerated=torch.zeros(len(empty), dtype=torch.bool, device=empty.device),
            d_images=Differences(window),
            tests=Differences(window),
            scale=empty,
            matrix=empty[:, :, None].expand(-1, 0, 0),
        )

    def resume(self, z0: Tensor, carry: Any) -> Secants:
        """Begin with the differences of an earlier solve; it may have been of another `f`.

        Raises:
            InvalidValueError: it is of another solver, or of states of another shape, dtype or
                device.
        """
        fresh = self.start(z0)
        if not isinstance(carry, Secants) or _kind(carry) != _kind(fresh):
            raise InvalidValueError(
                f"carry: {self} needs what it has carried itself, from states of the same shape, "
                f"dtype, device and memory format; here they are {tuple(z0.shape)} {z0.dtype}."
            )
        return evolve(carry, d_images=carry.d_images.copy(), tests=carry.tests.copy())

    def carried(self, state: Secants) -> Secants:
        """Hand the differences on, and not the last evaluation, which was of another `f`."""
        state.d_images.detach()
        state.tests.detach()
        state.last = None
        state.accelerated = torch.zeros_like(state.accelerated)
        state.scale, state.matrix = state.scale.detach(), state.matrix.detach()
        return state

    def advance(self, z: Tensor, image: Tensor, state: Secants) -> tuple[Tensor, Secants]:
        """Remember the newest differences, then step along them."""
        return self.step(Evaluation(z, image), state)

    def step(self, evaluation: Evaluation, state: Secants) -> tuple[Tensor, Secants]:
        """The same, with what was measured."""
        image = state.layout.rows(evaluation.image).to(batch.wide(evaluation.z.dtype))
        new = Past(
            image=image,
            difference=state.layout.rows(evaluation.difference),
            gap=evaluation.gap,
        )
        trusted, rejected = image, torch.zeros_like(state.accelerated)
        if state.last is not None:
            trusted = state.last.image
            rejected = state.accelerated & (new.gap > self.safeguard * state.last.gap)
            self._learn(state, state.last, new, rejected)
        state.last = new
        gamma = self._solve(state, new)
        state.accelerated = (gamma.detach() != 0).any(dim=1) & ~rejected
        proposal = self.mix(state, new, gamma)
        if proposal is image:  # nothing to go by yet: a plain step
            return evaluation.image, state
        proposal = batch.select(rejected, trusted, proposal)
        return state.layout.state(proposal.to(evaluation.z.dtype)), state

    def _learn(self, past: Secants, last: Past, new: Past, rejected: Tensor) -> None:
        """Take in the differences to the last evaluation."""
        learned = self._learns(past, last, new)
        past.d_images.push(new.image, last.image, learned)
        row, column = self.border(past, last, new, learned)
        slot, length = past.tests.slot, torch.linalg.vector_norm(past.tests.newest, dim=1)
        sound = learned & (length > 0) & (length < torch.inf)
        unit = torch.where(sound, 1 / torch.where(sound, length, 1), 0).to(past.scale.dtype)
        scale = _put(past.scale, slot, unit)
        both = scale * unit[:, None]
        matrix = _put(past.matrix, slot, (both * row)[:, : past.matrix.shape[2]])
        matrix = _put(matrix, slot, both * column, dim=2)
        if slot < past.scale.shape[1]:  # whoever learns nothing keeps what was there
            scale = batch.select(learned, scale, past.scale)
            matrix = batch.select(learned, matrix, past.matrix)
        if self.forgets:
            scale = batch.select(rejected, torch.zeros_like(scale), scale)
            matrix = batch.select(rejected, torch.zeros_like(matrix), matrix)
        past.scale, past.matrix = scale, matrix

    def _learns(self, past: Secants, last: Past, new: Past) -> Tensor:
        """Whether a sample's differences say something of `f`, (B,).

        Those of a sample that is over do not, nor those that are no more than rounding: they would
        only take the place of better ones.
        """
        size = torch.linalg.vector_norm(new.image.detach(), dim=1)
        rounding = 2 * torch.finfo(past.dtype).eps * size
        return (new.gap > 0) & (torch.maximum(new.gap, last.gap) > rounding)

    def _solve(self, past: Secants, new: Past) -> Tensor:
        """`γ`, (B, m), zero where a sample cannot be solved."""
        if not len(past.tests):
            return past.scale
        diagonal = torch.where(past.scale > 0, self.shift, 1.0).to(past.scale.dtype)
        matrix = past.matrix + diagonal.diag_embed()
        right = past.scale * past.tests.dots(new.difference)
        if matrix.requires_grad:  # 0 times the gradient of a singular system would be NaN
            with torch.no_grad():
                regular = _solve(matrix, right).isfinite().all(dim=1)
            matrix = batch.select(regular, matrix, torch.ones_like(diagonal).diag_embed())
            right = batch.select(regular, right, torch.zeros_like(right))
        gamma = past.scale * _solve(matrix, right)
        return torch.where(gamma.isfinite().all(dim=1, keepdim=True), gamma, 0)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """`matrix⁻¹ right`, (B, m, m) and (B, m); not finite where a matrix is singular.

    `torch.linalg.solve_ex` is this too, but waits to check its pivots.
    """
    factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)
    permutation, lower, upper = torch.lu_unpack(factors, pivots)
    right = permutation.mT @ right[:, :, None]
    right = torch.linalg.solve_triangular(lower, right, upper=False, unitriangular=True)
    return torch.linalg.solve_triangular(upper, right, upper=True)[:, :, 0]


def _kind(past: Secants) -> tuple[object, ...]:
    """What has to agree so that one solve can go on from another."""
    return past.method, past.layout, past.dtype, past.scale.device


def _put(table: Tensor, slot: int, new: Tensor, *, dim: int = 1) -> Tensor:
    """A table with `new` in one slot of a dimension, or after the last one."""
    before, after = table.tensor_split([slot], dim=dim)
    rest = after.narrow(dim, 1, after.shape[dim] - 1) if after.shape[dim] else after
    return torch.cat([before, new.unsqueeze(dim), rest], dim=dim)
