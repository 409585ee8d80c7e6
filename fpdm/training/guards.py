"""Watching a training for what has gone wrong."""

from __future__ import annotations

import warnings

from fpdm.errors import TrainingError, TrainingWarning
from fpdm.training.config import GuardsConfig
from fpdm.training.progress import Progress

RECENT = 50
"""Steps over which a residual is averaged, about."""


class Guards:
    """Warns of a step that was left out and of large residuals, and stops what does not recover.

    Args:
        config: the limits.

    Attributes:
        skipped: steps left out, in all.
        in_a_row: steps left out since the last that was taken.
        residual: the average over recent steps; None before the first.
    """

    def __init__(self, config: GuardsConfig) -> None:
        self.config = config
        self.skipped = 0
        self.in_a_row = 0
        self.residual: float | None = None
        self._seen = 0
        self._warned = False

    def watch(self, progress: Progress) -> None:
        """Look at a step.

        Args:
            progress: what the training said of the step.

        Raises:
            TrainingError: too many steps in a row were left out.

        Warns:
            TrainingWarning: it was left out, or the average residual has passed its limit.
        """
        self._watch_steps(progress)
        if progress.residual is not None and not progress.skipped:
            self._watch_residual(progress.step, progress.residual)

    def _watch_steps(self, progress: Progress) -> None:
        self.in_a_row = self.in_a_row + 1 if progress.skipped else 0
        self.skipped += progress.skipped
        if self.in_a_row >= self.config.max_skipped:
            raise TrainingError(
                f"Step {progress.step}: the loss or the gradients were not finite in "
                f"{self.in_a_row} steps in a row (guards.max_skipped), and the training stops. The "
                f"newest checkpoint is from before and whole. Go on from it with a lower "
                f"optimizer.learning_rate, a lower optimizer.max_grad_norm, or "
                f"engine.precision='fp32', in a run of its own; and look for inf or NaN in the "
                f"data."
            )
        if self.in_a_row == 1:
            warnings.warn(
                f"step {progress.step} was left out: its loss ({progress.loss:g}) or the norm of "
                f"its gradients ({progress.gradient_norm:g}) is not finite. It is the "
                f"{_ordinal(self.skipped)} in all; after {self.config.max_skipped} in a row the "
                f"training stops.",
                TrainingWarning,
                stacklevel=4,
            )

    def _watch_residual(self, step: int, residual: float) -> None:
        self._seen += 1
        before = residual if self.residual is None else self.residual
        self.residual = before + (residual - before) / min(self._seen, RECENT)
        beyond = self._seen >= RECENT and self.residual > self.config.max_residual
        if beyond and not self._warned:
            warnings.warn(
                f"step {step}: the fixed-point residual is {self.residual:.2g} on average, beyond "
                f"guards.max_residual={self.config.max_residual:g}: the iteration is not drawn to "
                f"a fixed point. Lower optimizer.learning_rate, raise max_no_grad and max_grad of "
                f"model.gradient so that long solves are trained too, or damp the iteration with "
                f"model.training_solver={{name='naive', damping=0.5}}.",
                TrainingWarning,
                stacklevel=4,
            )
        self._warned = beyond


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    teens = 10 <= number % 100 < 20
    return f"{number}{'th' if teens else endings.get(number % 10, 'th')}"
