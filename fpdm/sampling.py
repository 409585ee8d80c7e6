"""The loop over timesteps, as a generator: whoever iterates it sees each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from attrs import frozen
from torch import Tensor

from fpdm import plugins
from fpdm.allocator import Allocator
from fpdm.checks import check_real, check_whole
from fpdm.denoiser import Denoised
from fpdm.errors import BudgetError, InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, InitStrategy
from fpdm.layer import FixedPointLayer
from fpdm.solution import Solution


class Scheduler(Protocol):
    """What sampling wants of a diffusers scheduler whose timesteps are set."""

    timesteps: Tensor
    config: Any

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Scale the input of the network."""

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, **options: Any) -> Any:
        """Take the diffusion one timestep further; the result has a `prev_sample`."""


class Model(Protocol):
    """What sampling wants of a network: an implicit one, or an explicit one without a `layer`."""

    @property
    def pre_passes(self) -> int:
        """Block passes before the implicit layer at each timestep."""

    @property
    def post_passes(self) -> int:
        """Block passes after it."""

    @property
    def null_class(self) -> int:
        """The label for no class."""

    def __call__(self, x: Tensor, **call: Any) -> Denoised:
        """Denoise a batch."""


@frozen(eq=False)
class Step:
    """One timestep of a sampling run.

    Attributes:
        index: in sampling order; 0 is the noisiest.
        steps: how many there are.
        timestep: of the diffusion, ().
        iterations: granted to the implicit layer, and made.
        passes: block passes of this timestep, explicit layers included.
        sample: the images after it, (B, C, H, W).
        solution: of the implicit layer, for B samples or 2 B with guidance; None if explicit.
    """

    index: int
    steps: int
    timestep: Tensor
    iterations: int
    passes: int
    sample: Tensor
    solution: Solution | None


def iteration_budget(
    budget: int, *, steps: int, pre_passes: int, post_passes: int, implicit: bool = True
) -> int:
    """The iterations that are left of a budget of block passes when the explicit layers are paid.

    Args:
        budget: block passes for the whole run.
        steps: timesteps.
        pre_passes: block passes before the implicit layer at each timestep.
        post_passes: block passes after it.
        implicit: whether there are iterations to pay for at all.

    Raises:
        BudgetError: the budget cannot pay for the steps; the message says what it can pay for.

    Examples:
        >>> iteration_budget(60, steps=15, pre_passes=1, post_passes=1)
        30
    """
    check_whole("steps", steps, minimum=1)
    check_whole("budget", budget, minimum=1)
    explicit = pre_passes + post_passes
    least = explicit + int(implicit)
    left = budget - steps * explicit
    if budget < steps * least:
        costs = f"({pre_passes} pre + {post_passes} post + 1 iteration)" if implicit else explicit
        affordable = budget // least
        advice = f"num_inference_steps ≤ {affordable} or " if affordable else ""
        raise BudgetError(
            f"budget={budget} cannot pay for {steps} steps: {steps} × {costs} = {steps * least} "
            f"block passes. Use {advice}budget ≥ {steps * least}."
        )
    if left and not implicit:
        raise BudgetError(
            f"budget={budget} does not divide into {steps} steps of {explicit} block passes, and "
            f"this network has no iterations to spend the rest on. Use budget={steps * explicit}."
        )
    return left


def sample(
    model: Model,
    scheduler: Scheduler,
    latents: Tensor,
    class_labels: Tensor,
    *,
    budget: int,
    allocation: AllocationPolicy | None = None,
    init: InitStrategy | None = None,
    solver: FixedPointSolver | None = None,
    guidance_scale: float = 1.0,
    generator: torch.Generator | list[torch.Generator] | None = None,
) -> Iterator[Step]:
    """Sample, yielding each step; the images are in the last one.

    All state of the run is in this generator: two runs cannot see each other's.

    Args:
        model: an [`FPDiT`][fpdm.FPDiT], a [`DiT`][fpdm.DiT], or a network called like them.
        scheduler: of diffusers, its timesteps set.
        latents: the noise to begin with, (B, C, H, W), in the scale of the scheduler.
        class_labels: (B,), int64.
        budget: block passes for the whole run, spent exactly; the two halves of a guided batch
            count once.
        allocation: iterations over timesteps; None is `constant`.
        init: where solves start; None is the network's own.
        solver: what iterates; None is the network's own.
        guidance_scale: classifier-free guidance; 1 is none. The conditional and the unconditional
            prediction come from one doubled batch.
        generator: for schedulers that draw noise.

    Raises:
        BudgetError: the budget cannot be spent on the scheduler's timesteps.

    Yields:
        A `Step` for each timestep.
    """
    check_real("guidance_scale", guidance_scale, low=0)
    layer: FixedPointLayer | None = getattr(model, "layer", None)
    chosen = {"allocation": allocation, "init": init, "solver": solver}
    if layer is None and any(chosen.values()):
        named = ", ".join(name for name, value in chosen.items() if value)
        raise InvalidValueError(
            f"{named}: a {type(model).__name__} has no implicit layer to iterate; leave it out."
        )
    iterations = iteration_budget(
        budget,
        steps=len(scheduler.timesteps),
        pre_passes=model.pre_passes,
        post_passes=model.post_passes,
        implicit=layer is not None,
    )
    solving = None
    if layer is not None:
        solving = _Solving(
            Allocator(
                allocation or plugins.allocation("constant"),
                budget=iterations,
                steps=len(scheduler.timesteps),
            ),
            init or layer.init,
            solver or layer.solver,
        )
    return _steps(model, scheduler, latents, class_labels, solving, guidance_scale, generator)


@frozen(eq=False)
class _Solving:
    """How the implicit layer of a network is solved in one run."""

    allocator: Allocator
    init: InitStrategy
    solver: FixedPointSolver


def _steps(
    model: Model,
    scheduler: Scheduler,
    x: Tensor,
    class_labels: Tensor,
    solving: _Solving | None,
    guidance_scale: float,
    generator: torch.Generator | list[torch.Generator] | None,
) -> Iterator[Step]:
    guided = guidance_scale != 1
    if guided:
        class_labels = torch.cat([class_labels, torch.full_like(class_labels, model.null_class)])
    history: tuple[Solution, ...] = ()
    for index, timestep in enumerate(scheduler.timesteps):
        granted, options = 0, {}
        if solving is not None:
            granted = solving.allocator.next(history[-1] if history else None)
            options = {
                "evals": granted,
                "history": history,
                "solver": solving.solver,
                "init": solving.init,
            }
        x_in = scheduler.scale_model_input(x, timestep)
        denoised = model(
            torch.cat([x_in, x_in]) if guided else x_in,
            timestep=timestep,
            class_labels=class_labels,
            **options,
        )
        if solving is not None and denoised.solution is not None:
            history = (*history, denoised.solution)[-max(solving.init.lookback, 1) :]
        prediction = denoised.sample
        if guided:
            conditional, unconditional = prediction.chunk(2)
            prediction = unconditional + guidance_scale * (conditional - unconditional)
        prediction = fit_variance(prediction, x.shape[1], scheduler)
        x = scheduler.step(prediction, timestep, x, generator=generator).prev_sample
        yield Step(
            index=index,
            steps=len(scheduler.timesteps),
            timestep=timestep,
            iterations=granted,
            passes=model.pre_passes + granted + model.post_passes,
            sample=x,
            solution=denoised.solution,
        )


def fit_variance(prediction: Tensor, channels: int, scheduler: Scheduler) -> Tensor:
    """Drop a learned variance, (B, 2 C, ...) → (B, C, ...), unless the scheduler uses it."""
    learned = str(getattr(scheduler.config, "variance_type", "")).startswith("learned")
    return prediction if learned else prediction[:, :channels]
