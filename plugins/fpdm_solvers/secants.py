"""What Anderson acceleration and Broyden's method have in common: steps along past secants."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from typing import Any, cast

import torch
from attrs import define, evolve
from torch import Tensor

from fpdm import batch
from fpdm.batch import Layout
from fpdm.counting import Evaluation
from fpdm.errors import InvalidValueError
from fpdm.iteration import IterativeSolver
from fpdm_solvers.columns import Columns
from fpdm_solvers.differences import IMAGES, RESIDUALS, Differences
from fpdm_solvers.ring import Ring
from fpdm_solvers.systems import solve_general


class Observed(Evaluation):
    """An evaluation whose residual and image lie side by side, and are measured together.

    Attributes:
        pair: the two of them in float32 or wider, the states as rows, (B, 2, D).
        lengths: their norms, (B, 2).
    """

    def __init__(self, z: Tensor, image: Tensor, pair: Tensor) -> None:
        super().__init__(z, image)
        self.pair = pair
        self.lengths = batch.lengths(pair.detach())
        self._gap, self._size = self.lengths.unbind(1)


@define(eq=False)
class Secants:
    """What a secant method remembers; it is overwritten.

    Attributes:
        method: the solver.
        layout: of the state.
        dtype: of the state.
        device: of the state.
        zero: a 0 there, (); None in what is carried on.
        past: the differences, the states as rows in float32 or wider; None before there is one.
        last: the pair of the last evaluation, (B, 2, D); None before the first.
        lengths: its norms, (B, 2); likewise.
        answered: the samples of which it counted, (B,); likewise.
        limit: the residual beyond which the next iterate is rejected: inf where it is no more than
            a plain one, (B,); None where it is nowhere more.
        behind: how many places the window has moved on since each sample was over, (B,); None where
            all end together.
        room: how many differences there will be at most.
        recorded: whether autograd, or a transform of torch.func, keeps what is computed, so that
            nothing may be overwritten.
        owned: whether nobody else will go on from this, so that it need not be copied first.
    """

    method: SecantSolver
    layout: Layout
    dtype: torch.dtype
    device: torch.device
    zero: Tensor | None = None
    past: Differences | None = None
    last: Tensor | None = None
    lengths: Tensor | None = None
    answered: Tensor | None = None
    limit: Tensor | None = None
    behind: Tensor | None = None
    room: int = 1
    recorded: bool = False
    owned: bool = False

    def hand_over(self) -> None:
        """Promise that this is gone on from once: whoever does so may overwrite it."""
        self.owned = True

    def detach(self) -> Secants:
        """The same without its graph."""
        past = self.past.detach() if isinstance(self.past, Columns) else self.past
        return evolve(self, past=past)

    def record(self) -> None:
        """From now on overwrite nothing."""
        self.recorded = True
        if isinstance(self.past, Ring):
            self.past = Columns.of(self.past)


class SecantSolver(IterativeSolver):
    """Iterates `z_{k+1} = f(z_k) - dF γ` with `γ` from a small linear system for each sample.

    With the differences `dZ`, `dF` and `dR = dF - dZ` of the last iterates, images and residuals
    `r = f(z) - z`, a method is its choice of test vectors T and of the matrix in

        M γ = Tᵀ r_k

    where `M = Tᵀ dR` makes the extrapolated residual orthogonal to all of T. A row and a column of
    M are computed per evaluation.

    An iterate with `γ ≠ 0` whose residual grew past `safeguard` times the one before is rejected:
    that sample takes the step without `γ` from the one before. The evaluation spent on it counts.
    """

    safeguard: float

    @property
    def forgets(self) -> bool:
        """Whether a rejection empties the sample's memory, or stays in it as one more secant."""
        return False

    @property
    @abstractmethod
    def window(self) -> int:
        """How many differences are kept."""

    @abstractmethod
    def border_of(
        self, past: Differences, newest: Tensor, pair: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the newest row and column of M.

        Args:
            past: with the newest difference in it.
            newest: that difference, (B, 2, D).
            pair: the last residual and image, (B, 2, D).

        Returns:
            (B, m) twice, the very same tensor where M is symmetric; and `Tᵀ r_k`, (B, m), where it
            comes along.
        """

    def right_of(self, past: Differences, residual: Tensor) -> Tensor:
        """Return `Tᵀ r_k`, (B, m), where it has not come along with the border; here `dZᵀ r_k`.

        Args:
            past: the differences.
            residual: `r_k`, (B, D).
        """
        products = past.dots(residual[:, None])[:, 0]  # (B, m, 2)
        return products[..., IMAGES] - products[..., RESIDUALS]

    def weigh(self, matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return `γ`, (B, m), and above 0 where there is none, (B,).

        Args:
            matrix: M, (B, m, m).
            right: `Tᵀ r_k`, (B, m).
        """
        return solve_general(matrix, right)

    @property
    def parts(self) -> slice:
        """What of a pair the next iterate is made of."""
        return slice(IMAGES, IMAGES + 1)

    def finish(self, mixed: Tensor) -> Tensor:
        """Return the next iterate, (B, D).

        Args:
            mixed: the parts of a pair less those of the differences, `γ` times each, (B, parts, D).
        """
        return mixed[:, 0]

    def begin_with(self, evaluation: Observed) -> Tensor:
        """Return the next iterate where there is no difference yet; (B, ...).

        Args:
            evaluation: the first.
        """
        return evaluation.image

    def start(self, z0: Tensor) -> Secants:
        """Begin without a past."""
        zero = torch.zeros((), dtype=batch.wide(z0.dtype), device=z0.device)
        return Secants(self, Layout.of(z0), z0.dtype, z0.device, zero, room=self.window)

    def begin(self, x0: Tensor, *, evals: int, carry: Any = None) -> Secants:
        """Begin with room for what is to come, or with the differences of an earlier solve."""
        state: Secants = super().begin(x0, evals=evals, carry=carry)
        if not self.carry:
            state.room = max(0, min(self.window, evals - 1))
        return state

    def blank(self, z0: Tensor) -> Secants:
        """Return a whole window without differences, its place in a tensor."""
        state = self.start(z0)
        ring = Ring.empty(state.layout.rows(z0), self.window)
        ring.slot = torch.zeros(1, dtype=torch.int64, device=z0.device)
        ring.filled = ring.size
        return evolve(state, past=ring, zero=None)

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
        past = carry.past
        if isinstance(past, Columns):
            fresh.recorded = torch.is_grad_enabled()
            fresh.past = past.copy() if fresh.recorded else past.ring()
        elif isinstance(past, Ring):
            fresh.past = past if carry.owned and past.writable else past.copy()
        return fresh

    def carried(self, state: Secants) -> Secants:
        """Hand the differences on, and not the last evaluation, which was of another `f`.

        With their graph, if there is one: what is carried from one solve to the next counts in the
        gradient of both.
        """
        past = state.past
        if past is not None and state.behind is not None:
            past.catch_up(state.behind)
        if isinstance(past, Columns) and not past.has_graph:
            past = past.ring()
        return Secants(self, state.layout, state.dtype, state.device, past=past, room=self.window)

    def observe(self, z: Tensor, image: Tensor, state: Secants) -> Observed:
        """Put residual and image side by side."""
        rows_z, rows = state.layout.rows(z), state.layout.rows(image)
        wide = batch.wide(z.dtype)
        graph = torch.is_grad_enabled() and (image.requires_grad or z.requires_grad)
        if not (graph or state.recorded or torch.compiler.is_compiling()):
            with suppress(RuntimeError):  # under a transform nothing can be written
                return Observed(z, image, self._desk(state, rows).lay(rows_z, rows))
        if not state.recorded and (graph or not torch.compiler.is_compiling()):
            state.record()
        rows = rows.to(wide)
        return Observed(z, image, torch.stack([rows - rows_z.to(wide), rows], dim=1))

    def _desk(self, state: Secants, rows: Tensor) -> Ring:
        """Where differences are written in place, made if there is none; rows (B, D)."""
        if state.past is None:
            seen = rows.device.type == "cpu" and not self.carry
            state.past = Ring.empty(rows, state.room, desk=True, cleared=not seen)
        return cast("Ring", state.past)

    def learn(self, evaluation: Evaluation, state: Secants) -> Secants:
        """Remember the newest difference."""
        self._take_in(cast("Observed", evaluation), state)
        return state

    def advance(self, z: Tensor, image: Tensor, state: Secants) -> tuple[Tensor, Secants]:
        """Remember the newest difference, then step along all of them."""
        evaluation = self.observe(z, image, state)
        evaluation.answered = evaluation.gap < torch.inf
        return self.step(evaluation, state)

    def step(self, evaluation: Evaluation, state: Secants) -> tuple[Tensor, Secants]:
        """The same, with what was measured."""
        observed = cast("Observed", evaluation)
        rejected, right, back = self._take_in(observed, state)
        answered, z, pair = observed.answered, observed.z, cast("Tensor", state.last)
        past, state.limit = state.past, None
        if past is None or not past.filled:  # nothing to go by yet: a plain step
            return batch.select(answered, self.begin_with(observed), z), state
        gamma, moved = self._solve(past, pair[:, RESIDUALS], rejected, right)
        zero = cast("Tensor", state.zero)
        gamma = torch.where(moved[:, None], gamma, zero)
        # inf where the step is a plain one
        state.limit = torch.addcdiv(zero, observed.gap, moved, value=self.safeguard)
        base = pair[:, self.parts] if back is None else back
        spare = back is not None and isinstance(past, Ring)
        proposal = self.finish(past.mix(base, gamma, parts=self.parts, spare=spare))
        if state.dtype == torch.float16:  # whose range an extrapolation can leave
            most = torch.finfo(torch.float16).max
            proposal = proposal.clamp(-most, most)
        proposal = state.layout.state(proposal.to(state.dtype))
        return batch.select(answered, proposal, z), state

    def _take_in(
        self, new: Observed, state: Secants
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Learn from the differences to the last evaluation.

        Returns:
            The rejected samples, (B,), None for none; `Tᵀ r_k`, (B, m), where it is known; and with
            rejected samples the parts that each steps from, (B, parts, D).
        """
        pair, last, rejected, right, back = new.pair, state.last, None, None, None
        if state.recorded:  # 0 times the gradient of NaN would be NaN
            pair = batch.select(new.answered, pair, torch.zeros_like(pair))
        if last is not None:
            if state.limit is not None:
                rejected = new.gap > state.limit
            # the others would only put rounding in the place of something better, or NaN
            longest = torch.maximum(new.lengths, cast("Tensor", state.lengths))
            gap, size = longest.unbind(1)
            learned = gap > 2 * torch.finfo(state.dtype).eps * size
            if new.settled is not None:
                if self.carry:
                    over = new.settled | ~cast("Tensor", state.answered)
                    state.behind = over.long() + (0 if state.behind is None else state.behind)
                learned = learned & new.answered
                rejected = None if rejected is None else rejected & new.answered
            if rejected is not None and batch.seen_to_fail(rejected):
                rejected = None
            seen = batch.look(learned)
            everywhere = seen is not None and bool(seen.all())
            if state.past is None:
                kind = Columns if state.recorded else Ring
                state.past = kind.empty(pair[:, IMAGES], state.room)
            those = None if everywhere else learned
            if rejected is not None:
                mask = rejected[:, None, None]
                back = torch.where(mask, last[:, self.parts], pair[:, self.parts])
            newest = state.past.push(pair, last, those)
            row, column, right = self.border_of(state.past, newest, pair)
            state.past.border(row, column, those)
            if rejected is not None and self.forgets:
                state.past.forget(rejected)
        state.last, state.lengths, state.answered = pair, new.lengths, new.answered
        return rejected, right, back

    def _solve(
        self,
        past: Differences,
        residual: Tensor,
        rejected: Tensor | None,
        right: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """`γ`, (B, m), anything where there is none, and where there is one that is not 0, (B,)."""
        right = self.right_of(past, residual) if right is None else right
        right = right.to(past.matrix.dtype)
        if rejected is not None and not self.forgets:  # an empty memory has nothing to weigh
            right = right.masked_fill(rejected[:, None], 0)
        gamma, failed = self.weigh(past.matrix, right)
        gamma = gamma.to(residual.dtype)
        # what is too far overflows: in float32 from 1e19 on
        length = torch.linalg.vector_norm(gamma.detach(), dim=1).nan_to_num(0, 0, 0)
        return gamma, failed < (length > 0)  # as numbers: 0 < 1


def with_steps(products: Tensor) -> tuple[Tensor, Tensor]:
    """Products of the newest difference `(dR, dF)` with steps, and of the newest step with images.

    Args:
        products: of the newest difference with all of them, (B, 2, m, 2).

    Returns:
        `dZᵀ dR` and `dFᵀ dZ`, (B, m) each, where the newest stands at the right.
    """
    both = products[..., IMAGES] - products[:, RESIDUALS].mT
    along, of_step = both.unbind(1)
    return along, of_step


def _kind(past: Secants) -> tuple[object, ...]:
    """What has to agree so that one solve can go on from another."""
    return past.method, past.layout, past.dtype, past.device
