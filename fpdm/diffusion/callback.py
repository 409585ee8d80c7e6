"""What is called after each timestep of a pipeline's run, as diffusers has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from fpdm.errors import InvalidValueError

TENSORS = ("latents", "residual")
"""What a callback can be given."""


def step_callback(
    function: Callable[..., Any] | None, tensors: Iterable[str]
) -> StepCallback | None:
    """Check a callback, and the names of the tensors that it wants.

    Args:
        function: called as `(pipe, index, timestep, tensors)`; None for none.
        tensors: names of `TENSORS`; a callback of diffusers brings its own.

    Returns:
        What to call after each timestep; None for nothing.

    Raises:
        InvalidValueError: it cannot be called, or asks for a tensor that there is not.
    """
    if function is None:
        return None
    if not callable(function):
        raise InvalidValueError(f"callback_on_step_end={function!r}: must be callable.")
    if isinstance(function, (PipelineCallback, MultiPipelineCallbacks)):
        tensors = function.tensor_inputs
    try:
        names = [tensors] if isinstance(tensors, str) else list(tensors)
    except TypeError:
        raise InvalidValueError(
            f"callback_on_step_end_tensor_inputs={tensors!r}: must be a list of names among "
            f"{list(TENSORS)}."
        ) from None
    if unknown := [name for name in names if name not in TENSORS]:
        raise InvalidValueError(
            f"callback_on_step_end_tensor_inputs: {unknown} are not among {list(TENSORS)}."
        )
    return StepCallback(function, tuple(names))


@frozen
class StepCallback:
    """What is called after each timestep, and the tensors that it is given.

    Attributes:
        function: called as `(pipe, index, timestep, tensors)`.
        tensors: names of the tensors, among `latents` and `residual`.
    """

    function: Callable[..., Any]
    tensors: tuple[str, ...]

    def __call__(
        self, pipe: Any, index: int, timestep: Tensor, *, latents: Tensor, residual: Tensor | None
    ) -> Tensor:
        """Call it.

        Args:
            pipe: the pipeline that draws.
            index: of the timestep in sampling order, from 0.
            timestep: of the diffusion, ().
            latents: what the run has made of its images, (B, C, H, W).
            residual: at the end of the solve, (B,); None where nothing is solved.

        Returns:
            The latents with which the run goes on, (B, C, H, W).

        Raises:
            InvalidValueError: it returned latents of another shape.
        """
        every = {"latents": latents, "residual": residual}
        given = {name: every[name] for name in self.tensors}
        answer = self.function(pipe, index, timestep, given)
        if not isinstance(answer, Mapping) or answer.get("latents") is None:
            return latents
        changed = answer["latents"]
        if not isinstance(changed, Tensor) or changed.shape != latents.shape:
            raise InvalidValueError(
                f"callback_on_step_end returned latents that are no tensor of "
                f"{tuple(latents.shape)}."
            )
        return changed.to(latents)
