"""A diffusers scheduler in a run: what it is given, and what it is not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from fpdm.diffusion.clock import told_timesteps
from fpdm.diffusion.moments import moments
from fpdm.diffusion.steps import Past, Steps
from fpdm.errors import InvalidValueError
from fpdm.runtime.signatures import takes
from fpdm.solution import Moment


class Scheduler(Protocol):
    """What sampling wants of a diffusers scheduler whose timesteps are set.

    The network is called once for each of `timesteps`, of which a scheduler of higher order has
    more than it was asked for. `scale_model_input(sample, timestep)`, where there is one, scales
    the input of the network.
    """

    timesteps: Tensor
    config: Any

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, **options: Any) -> Any:
        """Take the diffusion one timestep further; the result has a `prev_sample`.

        Args:
            model_output: what the network said, (B, C, H, W).
            timestep: of these images, ().
            sample: the images, (B, C, H, W).
            options: `generator`, where it draws noise.

        Returns:
            A value with a `prev_sample`, (B, C, H, W).
        """


class Stepping(ABC):
    """The steps of one run, in order, and all that changes with them.

    Attributes:
        timesteps: what the network is told, (T,), on the device of the images.
        moments: what is known of them before the run begins.
    """

    timesteps: Tensor
    moments: tuple[Moment, ...]

    @abstractmethod
    def scale(self, x: Tensor, index: int) -> Tensor:
        """The input of the network, where the scheduler has a scale of its own.

        Args:
            x: the images, (B, C, H, W).
            index: of the timestep, in sampling order.

        Returns:
            (B, C, H, W).
        """

    @abstractmethod
    def step(self, prediction: Tensor, variance: Tensor, index: int, x: Tensor) -> Tensor:
        """Take the images to the next timestep; a variance that it cannot use is dropped.

        Args:
            prediction: what the network said, (B, C, H, W).
            variance: what it said of the variance, (B, C, H, W), or (B, 0, H, W) if it says
                nothing.
            index: of the timestep, in sampling order.
            x: the images, (B, C, H, W).

        Returns:
            The images at the next timestep, (B, C, H, W).

        Raises:
            InvalidValueError: the scheduler needs a variance that is not there, or does not take
                this kind of prediction.
        """

    def forget_graph(self) -> None:  # noqa: B027 (most have nothing to forget)
        """Go on from what past steps left as from numbers, which are not differentiated."""


def stepping(
    scheduler: Scheduler,
    generator: torch.Generator | list[torch.Generator] | None,
    *,
    device: torch.device,
    negate: bool | None = None,
    predicted: str | None = None,
    eta: float | None = None,
) -> Stepping:
    """The steps of one run: from a table where there is one, otherwise the scheduler's own.

    Args:
        scheduler: its timesteps set; it is not changed.
        generator: for schedulers that draw noise; or a list of them, one for each image.
        device: where the images are.
        negate: whether the scheduler is given the negated prediction; None is as it must be.
        predicted: what the network says that it predicts; None if it says nothing.
        eta: how much of the noise of ancestral sampling DDIM draws, from 0 to 1; None is what the
            scheduler does by itself.

    Raises:
        InvalidValueError: the scheduler expects another prediction, `eta` is no such number, or
            the scheduler does not know it.

    Warns:
        UserWarning: the steps are too long for the scheduler, which would draw garbage.
    """
    from fpdm.diffusion.rehearsal import warn_of_overshooting, warn_of_steepness
    from fpdm.diffusion.samplers import sign
    from fpdm.diffusion.tables import tabled

    negate = sign(predicted, scheduler, negate)
    _check_eta(eta, scheduler)
    steps = tabled(scheduler, negate=negate, eta=eta)
    if steps is not None:
        warn_of_steepness(scheduler, steps.steepness)
        return Tabled(steps, scheduler, generator, device=device)

    def make(scheduler: Any, generator: torch.Generator) -> Stepping:
        here = torch.device("cpu")
        return _Library(scheduler, generator, negate=False, device=here, eta=eta)

    warn_of_overshooting(scheduler, len(scheduler.timesteps), make, eta=eta)
    return _Library(scheduler, generator, negate=negate, device=device, eta=eta)


def _check_eta(eta: float | None, scheduler: Scheduler) -> None:
    if eta is None:
        return
    if isinstance(eta, bool) or not isinstance(eta, (int, float)) or not 0 <= eta <= 1:
        raise InvalidValueError(f"eta={eta!r}: must be a number from 0 to 1.")
    if eta and not takes(scheduler.step, "eta"):
        raise InvalidValueError(
            f"eta={eta:g}: {type(scheduler).__name__} has no eta; leave it out, or use one that "
            f"has, such as scheduler='ddim'."
        )


class Tabled(Stepping):
    """Steps with tabled coefficients.

    Args:
        steps: the table, and what is done with its rows.
        scheduler: its timesteps set.
        generator: for steps that draw noise; or a list of them, one for each image.
        device: where the images are.

    Attributes:
        past: what the last step left for the next; None before the first.
    """

    def __init__(
        self,
        steps: Steps,
        scheduler: Scheduler,
        generator: torch.Generator | list[torch.Generator] | None,
        *,
        device: torch.device,
    ) -> None:
        told = told_timesteps(scheduler)
        self.timesteps, self.moments = told.to(device), moments(scheduler, told)
        self.steps = steps.to(device)
        self.generator = generator
        self.past: Past | None = None

    def scale(self, x: Tensor, index: int) -> Tensor:
        """The images as they are, (B, C, H, W)."""
        del index
        return x

    def step(self, prediction: Tensor, variance: Tensor, index: int, x: Tensor) -> Tensor:
        """Take the images to the next timestep; (B, C, H, W)."""
        self.check(variance)
        row, past = self.given(index, x)
        noise = self.noise(index, prediction)
        x, self.past = self.steps.take(x, prediction, row, past, variance=variance, noise=noise)
        return x

    def forget_graph(self) -> None:
        """Go on from what past steps left as from numbers."""
        if self.past is not None:
            self.past = tuple(part.detach() for part in self.past)

    def given(self, index: int, x: Tensor) -> tuple[Tensor, Past]:
        """What a step is computed from, beside the images.

        Args:
            index: of the timestep, in sampling order.
            x: the images, (B, C, H, W).

        Returns:
            The row of the table, (K,), and what the step before left, each (B, C, H, W).
        """
        return self.steps.table[index], self.steps.begin(x) if self.past is None else self.past

    def noise(self, index: int, like: Tensor) -> Tensor | None:
        """Draw as diffusers draws: where the generator is, or where the images are.

        Args:
            index: of the timestep, in sampling order.
            like: of the shape and dtype of the noise, (B, C, H, W).

        Returns:
            Standard normal, (B, C, H, W); None where the step draws none.
        """
        if not (self.steps.draws and self.steps.draws[index]):
            return None
        from diffusers.utils.torch_utils import randn_tensor

        return randn_tensor(
            like.shape, generator=self.generator, device=like.device, dtype=like.dtype
        )

    def check(self, variance: Tensor) -> None:
        """Check that a variance is there if it is needed.

        Args:
            variance: what the network says of it, (B, C, H, W), or (B, 0, H, W) if it says nothing.

        Raises:
            InvalidValueError: it is not.
        """
        if self.steps.learned:
            _check_variance(variance, "learned_range")


class _Library(Stepping):
    """The steps of a scheduler itself, in a copy, because it counts them."""

    def __init__(
        self,
        scheduler: Scheduler,
        generator: torch.Generator | list[torch.Generator] | None,
        *,
        negate: bool,
        device: torch.device,
        eta: float | None = None,
    ) -> None:
        self.scheduler = own = cast("Any", deepcopy(scheduler))
        told = told_timesteps(own)
        self.timesteps, self.moments = told.to(device), moments(own, told)
        self.negate = negate
        for name in ("timesteps", "sigmas"):  # what it looks up is where no device is waited for
            if isinstance(vars(own).get(name), Tensor):
                setattr(own, name, vars(own)[name].cpu())
        if getattr(own, "begin_index", 0) is None:  # it would search for its place otherwise
            own.set_begin_index(0)
        given = {"generator": generator} | ({} if eta is None else {"eta": float(eta)})
        self.drawing = {name: value for name, value in given.items() if takes(own.step, name)}
        # of the schedulers that know the word, those that keep it as their own use the variance
        uses = str(vars(own).get("variance_type", ""))
        self.uses_variance = uses.startswith("learned")
        named = str(own.config.get("variance_type", ""))
        if named.startswith("learned") and not self.uses_variance:
            # the others drop it themselves, and keep three channels, whatever the image has
            own.register_to_config(variance_type=None)

    def scale(self, x: Tensor, index: int) -> Tensor:
        scale = getattr(self.scheduler, "scale_model_input", None)
        return x if scale is None else scale(x, self._timestep(index))

    def step(self, prediction: Tensor, variance: Tensor, index: int, x: Tensor) -> Tensor:
        output = -prediction if self.negate else prediction
        if self.uses_variance:
            _check_variance(variance, self.scheduler.variance_type)
            output = torch.cat([output, variance], dim=1)
        try:
            stepped = self.scheduler.step(output, self._timestep(index), x, **self.drawing)
        except NotImplementedError as error:  # a kind of prediction that it does not take
            raise InvalidValueError(f"{type(self.scheduler).__name__}: {error}.") from error
        return cast("Tensor", stepped.prev_sample)

    def _timestep(self, index: int) -> Tensor:
        return cast("Tensor", self.scheduler.timesteps[index])


def _check_variance(variance: Tensor, kind: str) -> None:
    if not variance.shape[1]:
        raise InvalidValueError(
            f"The scheduler has variance_type={kind!r}, but the network predicts no variance; use "
            f"variance_type='fixed_small'."
        )
