"""What a training says of each of its steps."""

from __future__ import annotations

from attrs import frozen


@frozen
class Progress:
    """One step of a training, over all processes.

    Attributes:
        step: steps done.
        loss: mean squared error of the prediction; with a learned variance, the hybrid loss.
        residual_before: mean relative residual at the start of the fixed-point solve; None for an
            explicit network.
        residual: at its end; likewise.
        no_grad_evals: n, evaluations without gradient; likewise.
        grad_evals: m, evaluations with gradient; likewise.
        gradient_norm: before clipping.
        learning_rate: of this step.
        skipped: whether it was left out, because the loss or a gradient was not finite.
        seconds: that it took.
        images_per_second: in this step.
        memory_bytes: the most that was allocated on the GPU so far, or that the process held.
        jacobian_penalty: mean estimate of `‖J‖² / D` for the Jacobian J of the iterated map at the
            solution, without its weight; it is no part of `loss`. None where it was not added.
        spectral_radius: of J, the mean over the samples; None where it was not asked for.
        jacobian_evals: evaluations for the two, which are not among those above.
    """

    step: int
    loss: float
    residual_before: float | None
    residual: float | None
    no_grad_evals: int | None
    grad_evals: int | None
    gradient_norm: float
    learning_rate: float
    skipped: bool
    seconds: float
    images_per_second: float
    memory_bytes: int
    jacobian_penalty: float | None = None
    spectral_radius: float | None = None
    jacobian_evals: int = 0
