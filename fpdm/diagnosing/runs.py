"""Runs of one network from one noise, which differ in how many iterations each timestep gets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor

from fpdm import plugins
from fpdm.diffusion import samplers
from fpdm.diffusion.clock import flows
from fpdm.diffusion.moments import moments
from fpdm.diffusion.noise import begin
from fpdm.diffusion.spread import spread
from fpdm.diffusion.wanted import Wanted
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, InitStrategy
from fpdm.plugins import Spec
from fpdm.sampling import Step, sample
from fpdm.solution import Moment


@frozen(eq=False)
class Runs:
    """Runs that begin with the same noise.

    Attributes:
        network: that draws.
        scheduler: its timesteps set.
        wanted: how many samples, and of what.
        budget: block passes of the run that is asked for.
        device: where it is computed.
        seed: of the noise.
        allocation: of the run that is asked for.
        init: of all runs.
        solver: of all runs.
        options: of `fpdm.sample`, alike for all of them.
        images: real samples that take the place of what a run has drawn, (B, C, …); None for none.
        moments: the timesteps.

    Raises:
        InvalidValueError: real samples cannot be noised as the scheduler has it.
    """

    network: Any
    scheduler: Any
    wanted: Wanted
    budget: int
    device: torch.device
    seed: int
    allocation: AllocationPolicy
    init: InitStrategy
    solver: FixedPointSolver
    options: dict[str, Any]
    images: Tensor | None = None
    moments: tuple[Moment, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "moments", moments(self.scheduler))
        if self.images is not None and any(each.log_snr is None for each in self.moments):
            raise InvalidValueError(
                f"images: {type(self.scheduler).__name__} does not say how noisy its timesteps "
                f"are, so real samples cannot be noised to them; leave them out."
            )

    def follow(
        self,
        *,
        counts: tuple[int, ...] | None = None,
        init: InitStrategy | None = None,
        solver: FixedPointSolver | None = None,
    ) -> Iterator[Step]:
        """Run, as it is asked for or with given iterations.

        Args:
            counts: iterations of each timestep; None is as the allocation has it.
            init: in the place of that of all runs.
            solver: likewise.

        Yields:
            Each timestep.
        """
        yield from self._run(counts, init, solver)

    def along_images(self, **given: Any) -> Iterator[Step]:
        """Run over real samples, which are noised to each timestep; without any, simply run.

        Args:
            given: as of `follow`.

        Yields:
            Each timestep.
        """
        if self.images is None:
            yield from self.follow(**given)
            return
        drawn = self._noise(torch.Generator().manual_seed(self.seed))
        noise = drawn / float(getattr(self.scheduler, "init_noise_sigma", 1.0))
        noised = [self.noised(self.images, noise, moment) for moment in self.moments]
        run = self._run(given["counts"], given["init"], given["solver"], noised[0])
        replacement = None
        for following in [*noised[1:], None]:
            yield run.send(replacement)
            replacement = following
        run.close()

    def noised(self, images: Tensor, noise: Tensor, moment: Moment) -> Tensor:
        """Real samples as a run has them at a timestep: in the scale of its scheduler.

        Args:
            images: the samples, (B, C, …).
            noise: standard normal, (B, C, …).
            moment: which timestep, whose noise is known.

        Returns:
            (B, C, …).
        """
        if flows(self.scheduler):
            share = float(moment.timestep or 0) / self.scheduler.config.num_train_timesteps
            signal, sigma = 1 - share, share
        else:
            level = float(moment.log_snr or 0)
            signal = math.sqrt(_sigmoid(level))
            sigma = math.sqrt(_sigmoid(-level))
        mixed = signal * images + sigma * noise
        scale = getattr(self.scheduler, "scale_model_input", None)
        if scale is None:
            return mixed
        own = deepcopy(self.scheduler)  # it notes that it was asked
        unit = own.scale_model_input(torch.ones(1), own.timesteps[moment.index])
        return mixed / float(unit)

    def _noise(self, generator: torch.Generator) -> Tensor:
        return begin(
            None,
            generator,
            self.scheduler,
            network=self.network,
            count=self.wanted.count,
            device=self.device,
        )

    def _run(
        self,
        counts: tuple[int, ...] | None,
        init: InitStrategy | None,
        solver: FixedPointSolver | None,
        latents: Tensor | None = None,
    ) -> Any:
        network, generator = self.network, torch.Generator().manual_seed(self.seed)
        drawn = self._noise(generator)
        explicit = len(self.moments) * (network.pre_passes + network.post_passes)
        return sample(
            network,
            self.scheduler,
            drawn if latents is None else latents.to(drawn),
            class_labels=self.wanted.class_labels,
            condition=self.wanted.condition,
            budget=self.budget if counts is None else explicit + sum(counts),
            allocation=self.allocation
            if counts is None
            else {"name": "weighted", "shares": list(counts)},
            init=self.init if init is None else init,
            solver=self.solver if solver is None else solver,
            generator=generator,
            **self.options,
        )


def _sigmoid(x: float) -> float:
    """`1 / (1 + e⁻ˣ)`, without an overflow."""
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def runs_of(
    pipe: Any,
    wanted: Wanted,
    *,
    images: Tensor | None,
    seed: int,
    budget: int | None,
    steps: int | None,
    spacing: str | float | None,
    scheduler: Any,
    solver: Spec | FixedPointSolver | None,
    allocation: Spec | AllocationPolicy | None,
    init: Spec | InitStrategy | None,
    guidance_scale: float,
) -> Runs:
    """What a pipeline would run, taken apart; the pipeline itself is only read.

    Args:
        pipe: the pipeline.
        wanted: how many samples, and of what.
        images: real samples, (B, C, …); None for none.
        seed: of the noise.
        budget: as of the pipeline, and so is the rest.
        steps: timesteps.
        spacing: where they lie.
        scheduler: by name, or an object.
        solver: what iterates.
        allocation: how iterations are spread.
        init: where solves start.
        guidance_scale: 1 is none.

    Raises:
        BudgetError: the budget cannot be spent on the timesteps.
        InvalidValueError: something is not allowed.
        UnknownNameError: a component or a scheduler is not known by that name.
    """
    network = getattr(pipe.model, "_orig_mod", pipe.model)  # where it was compiled
    predicted = pipe.config["prediction_type"]
    chosen = samplers.of_run(
        pipe.scheduler,
        scheduler,
        predicted=predicted,
        learned_variance=bool(network.config.get("learn_sigma")),
    )
    negate = samplers.fit_prediction(predicted, chosen)
    spent = spread(chosen, network, budget=budget, steps=steps, spacing=spacing)
    layer, device = network.layer, pipe._execution_device
    if images is not None:
        images = images.detach().to(device, network.dtype)
    return Runs(
        network,
        chosen,
        wanted,
        spent,
        device,
        seed,
        plugins.resolve("allocation", "constant" if allocation is None else allocation),
        layer.init if init is None else plugins.resolve("init", init),
        layer.solver if solver is None else plugins.resolve("solver", solver),
        {"guidance_scale": guidance_scale, "negate": negate},
        images,
    )


def check_images(images: Any, shape: tuple[int, ...]) -> None:
    """Check that real samples are such as the network draws.

    Args:
        images: what was given in the place of (B, C, …).
        shape: of one of them.

    Raises:
        InvalidValueError: they are none, or are not finite.
    """
    given = isinstance(images, Tensor) and images.dim() > 0
    if not given or tuple(images.shape[1:]) != shape or not len(images):
        found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        wanted = ", ".join(map(str, ("B", *shape)))
        raise InvalidValueError(f"images are {found}: must be a tensor of ({wanted}), B ≥ 1.")
    if not images.isfinite().all():
        raise InvalidValueError("images hold inf or NaN: must be finite.")
