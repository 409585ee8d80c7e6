"""One compiled timestep: of one shape, with one number of iterations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from attrs import evolve
from torch import Tensor, nn

from fpdm import batch
from fpdm.compiling.call import Call
from fpdm.compiling.leaves import mapped
from fpdm.compiling.replay import Recorder, Replay
from fpdm.compiling.starts import Seen, Selected
from fpdm.diffusion.steps import Past
from fpdm.solution import Denoised, Moment, Visited


class Program:
    """A timestep that is compiled when it is first called.

    The history that it is given is always of full length: what has not been yet is filled with
    something that has no effect, so that the first timestep needs no program of its own.

    Args:
        call: the first one; others have the same key.
        blank: stands for a timestep that has not been; None if there is no implicit layer.
        moments: how a moment is seen: as it is, without its numbers, or with tensors for numbers.
        recorder: records it as a CUDA graph; None to launch it piece by piece.
        by: compiles a function.
    """

    def __init__(
        self,
        call: Call,
        blank: Visited | None,
        *,
        moments: Seen,
        recorder: Recorder | None = None,
        by: Callable[[Any], Any],
    ) -> None:
        run, steps, solving, doubled = call.plain, call.steps, call.solving, call.doubled
        self.blank, self.moments, self.solving = blank, moments, solving
        self.lookback = 0 if solving is None else solving.lookback
        self.depths = [
            torch.tensor(depth, device=call.x.device) for depth in range(self.lookback + 1)
        ]

        def timestep(
            x: Tensor,
            told: dict[str, Any],
            history: tuple[Visited, ...],
            depth: Tensor,
            moment: Moment,
            row: Tensor | None,
            past: Past,
            noise: Tensor | None,
        ) -> tuple[Tensor, Tensor, Past, Denoised]:
            options: dict[str, Any] = {}
            if solving is not None:
                init = Selected(solving.init, depth) if solving.init.lookback else solving.init
                options = {**solving.options, "init": init, "history": history, "moment": moment}
            prediction, variance, denoised = run.predict(x, told, doubled=doubled, **options)
            if steps is None or row is None:
                return prediction, variance, past, denoised
            x, past = steps.take(x, prediction, row, past, variance=variance, noise=noise)
            return x, variance, past, denoised

        self.run = by(timestep)
        if recorder is not None:
            self.run = Replay(self.run, cast("nn.Module", call.run.model), recorder)

    def __call__(self, call: Call) -> tuple[Tensor, Tensor, Past, Denoised]:
        """Compute the timestep.

        Args:
            call: what of.

        Returns:
            The images after it, (B, C, H, W), or the prediction where steps are not tabled; what
            the network said of the variance, (B, C, H, W); what the next step goes on from; and
            what the network said.
        """
        history, depth = self._recall(call)
        return self.run(
            call.x,
            call.told,
            history,
            depth,
            self.moments(call.moment, call.x.device),
            call.row,
            call.past,
            call.noise,
        )

    def _recall(self, call: Call) -> tuple[tuple[Visited, ...], Tensor]:
        """The past at full length, and how much of it there has been."""
        if self.solving is None or self.blank is None or not self.lookback:
            return (), self.depths[0]
        been = [self._fit(each) for each in call.history[-self.lookback :]]
        known = self.blank.solution.carry
        blank = evolve(
            self.blank, moment=call.moment, solution=evolve(self.blank.solution, carry=None)
        )
        missing = range(self.lookback - len(been))
        history = [*(mapped(blank, torch.clone) for _ in missing), *been]
        if self.solving.solver.carry:
            last = history[-1].solution
            carry = mapped(known, torch.clone) if last.carry is None else last.carry
            if hasattr(carry, "hand_over"):  # it is gone on from once
                carry.hand_over()
            history[-1] = evolve(history[-1], solution=evolve(last, carry=carry))
        moments = [self.moments(each.moment, call.x.device) for each in history]
        return (
            tuple(evolve(one, moment=other) for one, other in zip(history, moments, strict=True)),
            self.depths[len(been)],
        )

    def _fit(self, visited: Visited) -> Visited:
        """A past timestep that lies in memory as all others do."""
        like = cast("Visited", self.blank)
        solution = visited.solution
        features = batch.arrange(visited.features, like=like.features)
        value = batch.arrange(solution.value, like=like.solution.value)
        if features is visited.features and value is solution.value:
            return visited
        return evolve(visited, features=features, solution=evolve(solution, value=value))
