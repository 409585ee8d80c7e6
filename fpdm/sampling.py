"""The loop over timesteps, as a generator: whoever iterates it sees each step."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Protocol

import torch
from attrs import evolve, frozen
from torch import Tensor

from fpdm import plugins
from fpdm.allocator import Allocator
from fpdm.checks import check_real, check_whole
from fpdm.denoiser import Denoised
from fpdm.errors import BudgetError, InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, InitStrategy
from fpdm.layer import FixedPointLayer
from fpdm.plugins import Spec
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
    """What sampling wants of a network.

    An implicit one has a `layer`, its [`FixedPointLayer`][fpdm.FixedPointLayer], and is called with
    `evals`, `history`, `solver` and `init` as well.
    """

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
        """Denoise a batch `x`, (B, C, H, W), given a `timestep` and `class_labels`, (B,)."""


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
    allocation: Spec | AllocationPolicy | None = None,
    init: Spec | InitStrategy | None = None,
    solver: Spec | FixedPointSolver | None = None,
    guidance_scale: float = 1.0,
    generator: torch.Generator | list[torch.Generator] | None = None,
) -> Iterator[Step]:
    """Sample, yielding each step; the images are in the last one.

    All state of the run is in this generator, which works on a copy of the scheduler: two runs
    cannot see each other's. Iterate it under `torch.no_grad()` unless you want to differentiate.

    Args:
        model: an [`FPDiT`][fpdm.FPDiT], a [`DiT`][fpdm.DiT], or any network that offers what
            [`Model`][fpdm.sampling.Model] lists.
        scheduler: of diffusers, its timesteps set.
        latents: the noise to begin with, (B, C, H, W), in the scale of the scheduler.
        class_labels: (B,), int64.
        budget: block passes for the whole run, spent exactly; the two halves of a guided batch
            count once.
        allocation: iterations over timesteps, by name, by mapping with options, or an object; None
            is `constant`. So are the next two.
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
    given = {"allocation": allocation, "init": init, "solver": solver}
    chosen = {kind: plugins.resolve(kind, v) for kind, v in given.items() if v is not None}
    if layer is None and chosen:
        named = ", ".join(chosen)
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
        policy = "constant" if allocation is None else allocation
        solving = _Solving(
            Allocator(
                plugins.resolve("allocation", policy),
                budget=iterations,
                steps=len(scheduler.timesteps),
            ),
            chosen.get("init", layer.init),
            chosen.get("solver", layer.solver),
        )
    scheduler = deepcopy(scheduler)  # it counts its steps
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
    draws = "generator" in inspect.signature(scheduler.step).parameters
    drawing = {"generator": generator} if draws else {}
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
        solution = denoised.solution
        if solving is not None and solution is not None:
            past = (evolve(older, carry=None) for older in history)
            history = (*past, solution)[-max(solving.init.lookback, 1) :]
            solution = evolve(solution, carry=None)  # it belongs to the run, and may be large
        prediction = denoised.sample
        if guided:
            prediction = guide(prediction, x.shape[1], guidance_scale)
        prediction = fit_variance(prediction, x.shape[1], scheduler)
        x = scheduler.step(prediction, timestep, x, **drawing).prev_sample
        yield Step(
            index=index,
            steps=len(scheduler.timesteps),
            timestep=timestep,
            iterations=granted,
            passes=model.pre_passes + granted + model.post_passes,
            sample=x,
            solution=solution,
        )


def guide(prediction: Tensor, channels: int, scale: float) -> Tensor:
    """Classifier-free guidance of a doubled batch, (2 B, ...) → (B, ...).

    A learned variance, the channels after the first `channels`, is the conditional one.
    """
    conditional, unconditional = prediction.chunk(2)
    mean, baseline = conditional[:, :channels], unconditional[:, :channels]
    return torch.cat([baseline + scale * (mean - baseline), conditional[:, channels:]], dim=1)


def fit_variance(prediction: Tensor, channels: int, scheduler: Scheduler) -> Tensor:
    """Drop a learned variance, (B, 2 C, ...) → (B, C, ...), unless the scheduler uses it."""
    learned = str(getattr(scheduler.config, "variance_type", "")).startswith("learned")
    return prediction if learned else prediction[:, :channels]
