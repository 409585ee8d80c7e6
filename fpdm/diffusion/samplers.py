"""Schedulers of diffusers by name, each set up for what a network predicts.

A scheduler made from the configuration of another keeps what it knows of it and drops the rest
without a word: the order of a solver, a clamp, or the kind of prediction. Here each is built from
the process alone.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddim_parallel import DDIMParallelScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import (
    EulerAncestralDiscreteScheduler,
)
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler

from fpdm.checks import check_choice
from fpdm.diffusion.schedulers import (
    BETAS,
    DPMScheduler,
    EvenDDIMScheduler,
    EvenDDPMScheduler,
    FlowDPMScheduler,
    FlowHeunScheduler,
    FlowScheduler,
    FlowUniPCScheduler,
    TowardsImage,
    UniPCScheduler,
)
from fpdm.errors import InvalidValueError, UnknownNameError, suggest
from fpdm.runtime.signatures import takes
from fpdm.solution import PREDICTIONS

PROCESS = (
    *("prediction_type", "num_train_timesteps", "rescale_betas_zero_snr", "variance_type"),
    *("beta_start", "beta_end", "beta_schedule", "trained_betas", "clip_sample_range", "shift"),
)
"""What a scheduler's configuration says of the process; the rest is about how to sample it."""

FLOW, NEGATIVE_FLOW = "flow", "flow_prediction"
"""Velocities of flow matching: `x0 - noise`, and `noise - x0`, which diffusers expects."""

Recipe = tuple[type, dict[str, Any]]
_DPM = {"algorithm_type": "dpmsolver++", "solver_order": 2, "timestep_spacing": "linspace"}
_BY_FLOW = {"prediction_type": NEGATIVE_FLOW, "use_flow_sigmas": True}

DIFFUSION: dict[str, Recipe] = {
    "ddim": (EvenDDIMScheduler, {}),
    "ddpm": (EvenDDPMScheduler, {}),
    "dpm++": (DPMScheduler, {}),
    "unipc": (UniPCScheduler, {"timestep_spacing": "linspace"}),
    "euler": (EulerDiscreteScheduler, {"timestep_spacing": "linspace"}),
    "euler-ancestral": (EulerAncestralDiscreteScheduler, {"timestep_spacing": "linspace"}),
    "heun": (HeunDiscreteScheduler, {"timestep_spacing": "linspace"}),
}
"""Samplers for networks that predict noise, a clean image or v."""

FROM_PURE_NOISE = ("ddim", "ddpm", "dpm++", "unipc")
"""Those that can begin at zero terminal SNR. The others count in noise over signal, which diffusers
then cuts off below that of the timesteps that follow.
"""

FLOW_MATCHING: dict[str, Recipe] = {
    "euler": (FlowScheduler, {}),
    "heun": (FlowHeunScheduler, {}),
    "dpm++": (FlowDPMScheduler, _DPM | _BY_FLOW),
    "unipc": (FlowUniPCScheduler, _BY_FLOW),
}
"""Samplers for networks that predict a velocity of flow matching."""


def build(name: str, process: Mapping[str, Any]) -> Any:
    """Return the scheduler `name` for a process.

    Args:
        name: of `DIFFUSION`, or of `FLOW_MATCHING` if the network predicts a velocity.
        process: `prediction_type`, and what else of `PROCESS` is not the default.

    Raises:
        UnknownNameError: no sampler of that name samples from such a process.
        InvalidValueError: the sampler does not know these betas.
    """
    flow = process["prediction_type"] in (FLOW, NEGATIVE_FLOW)
    recipes = FLOW_MATCHING if flow else DIFFUSION
    if name not in recipes:
        raise UnknownNameError(
            f"No scheduler for prediction_type={process['prediction_type']!r} is named {name!r}. "
            f"{suggest(name, recipes)}"
        )
    cls, options = recipes[name]
    known = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    if process.get("rescale_betas_zero_snr") and name not in FROM_PURE_NOISE:
        raise InvalidValueError(
            f"scheduler={name!r} cannot begin where there is no signal at all (zero terminal SNR); "
            f"use {', '.join(FROM_PURE_NOISE)}."
        )
    given = BETAS | {key: process[key] for key in PROCESS if key in process}
    given["flow_shift"] = given.get("shift", 1.0)
    return cls(**{key: value for key, value in given.items() if key in known} | options)


def of_run(own: Any, given: Any, *, predicted: str | None, learned_variance: bool = False) -> Any:
    """The scheduler of one run, which belongs to it: other runs do not see what it changes.

    Args:
        own: that of the pipeline.
        given: in its place, for this run: one of diffusers, or a name; None is `own`.
        predicted: what the network predicts; None is what `own` expects.
        learned_variance: whether the network predicts the variance too.

    Returns:
        A scheduler of diffusers.

    Raises:
        UnknownNameError: no sampler of that name samples from such a process.
        InvalidValueError: what is given is no scheduler.
    """
    if isinstance(given, str):
        return switch(own, given, predicted=predicted, learned_variance=learned_variance)
    if given is None:
        return deepcopy(own)
    check_scheduler(given)
    return deepcopy(given)


def switch(
    scheduler: Any, name: str, *, predicted: str | None = None, learned_variance: bool = False
) -> Any:
    """Return the scheduler `name` for the process of another.

    Args:
        scheduler: of diffusers.
        name: of the one that is wanted.
        predicted: what the network predicts; None is what `scheduler` expects.
        learned_variance: whether the network predicts the variance too, which is then used unless
            `scheduler` has a fixed one.

    Raises:
        UnknownNameError: no sampler of that name samples from such a process.
        InvalidValueError: `scheduler` does not say what it expects, or the sampler does not know
            its betas.

    Examples:
        >>> import fpdm
        >>> type(switch(fpdm.EvenDDPMScheduler(), "unipc")).__name__
        'UniPCScheduler'
    """
    process = dict(scheduler.config)
    predicted = predicted or prediction_of(scheduler)
    if predicted is None:
        raise InvalidValueError(
            f"{type(scheduler).__name__} does not say what the network predicts: scheduler={name!r}"
            f" cannot be made from it."
        )
    process["prediction_type"] = predicted
    if not process.get("clip_sample", True):
        process["clip_sample_range"] = None  # there is one in the configuration all the same
    process.setdefault("clip_sample_range", None)
    process.setdefault("shift", process.get("flow_shift", 1.0))
    if not str(variance := process.get("variance_type")).startswith("learned"):
        learned = learned_variance and variance is None
        process["variance_type"] = "learned_range" if learned else "fixed_small"
    return build(name, process)


def prediction_of(scheduler: Any) -> str | None:
    """What a scheduler expects the network to predict; None if it does not say.

    Args:
        scheduler: of diffusers.
    """
    if isinstance(scheduler, TowardsImage):
        return FLOW
    if takes(type(scheduler).__init__, "prediction_type"):
        return str(scheduler.config["prediction_type"])
    return NEGATIVE_FLOW if "FlowMatch" in type(scheduler).__name__ else None


def check_scheduler(given: Any) -> None:
    """Check that `given` is a scheduler of diffusers.

    Args:
        given: what stands in the place of one.

    Raises:
        InvalidValueError: it is none.
    """
    wanted = ("set_timesteps", "step", "config")
    if isinstance(given, type) or not all(hasattr(given, name) for name in wanted):
        raise InvalidValueError(
            f"scheduler={given!r}: must be a scheduler of diffusers, or in a call the name of one, "
            f"such as 'unipc'."
        )


def check_clock(clock: str | None, predicted: str | None) -> None:
    """Check that a network can be told the time of what it predicts.

    Args:
        clock: of the network, as its configuration says; None if nobody knows.
        predicted: what it predicts; None if nobody knows.

    Raises:
        InvalidValueError: a network of flow matching whose clock is not known, or a clock of flow
            matching for a network that predicts something else.
    """
    flow = predicted in (FLOW, NEGATIVE_FLOW)
    if flow and clock is None:
        raise InvalidValueError(
            "clock: networks of flow matching are told 0 to 1000, 0 to 1 or 1 to 0 from image to "
            "noise, and it cannot be told from the weights which; load this one with "
            "clock='thousand', 'unit' or, for SiT, 'sit' (--clock)."
        )
    if not flow and clock not in (None, "thousand"):
        raise InvalidValueError(
            f"clock={clock!r}: is of a network of flow matching, and this one predicts "
            f"{predicted!r}; say prediction_type='flow' (--prediction flow) with a scheduler that "
            f"fits, or leave the clock out."
        )


def fit_prediction(predicted: str | None, scheduler: Any) -> bool:
    """Whether a prediction has to be negated for a scheduler.

    Args:
        predicted: what the network predicts; None if nobody knows, and nothing is checked.
        scheduler: of diffusers.

    Raises:
        InvalidValueError: the scheduler expects something else.
    """
    expected = prediction_of(scheduler)
    if predicted is None or predicted == expected:
        return False
    if {predicted, expected} == {FLOW, NEGATIVE_FLOW}:
        return True
    recipes = FLOW_MATCHING if predicted in (FLOW, NEGATIVE_FLOW) else DIFFUSION
    raise InvalidValueError(
        f"The network predicts {predicted!r}, but {type(scheduler).__name__} expects "
        f"{expected or 'something that it does not name'!r}: use one that fits, such as "
        f"scheduler={next(iter(recipes))!r}."
    )


def agreed(given: str | None, scheduler: Any, *, says: str | None) -> str | None:
    """What a network predicts: as it says itself, as is given, or as the scheduler expects.

    Args:
        given: what its user says; None if nothing.
        scheduler: of diffusers.
        says: what the network says; None if nothing.

    Returns:
        One of `PREDICTIONS`; None if nobody knows.

    Raises:
        InvalidValueError: the network says something else than the other two.
    """
    if given is not None:
        check_choice("prediction_type", given, choices=PREDICTIONS)
    if says is None:
        return prediction_of(scheduler) if given is None else given
    if given not in (None, says):
        raise InvalidValueError(
            f"prediction_type={given!r}: the network says that it predicts {says!r}; leave it out."
        )
    fit_prediction(says, scheduler)
    return says


def sign(predicted: str | None, scheduler: Any, negate: bool | None) -> bool:
    """Whether the prediction of a network is negated for a scheduler.

    Args:
        predicted: what the network says that it predicts; None if it says nothing.
        scheduler: of diffusers, or one that does not say what it expects: then nothing is known.
        negate: what the caller says; None if nothing.

    Raises:
        InvalidValueError: the scheduler expects something else, or the caller says the opposite.
    """
    if predicted is None or prediction_of(scheduler) is None:
        return bool(negate)
    needed = fit_prediction(predicted, scheduler)
    if negate is not None and negate != needed:
        raise InvalidValueError(
            f"negate={negate}: the network predicts {predicted!r}, and {type(scheduler).__name__} "
            f"expects {prediction_of(scheduler)!r}; leave it out."
        )
    return needed


def warn_of_spacing(scheduler: Any) -> None:
    """Warn of a scheduler that steps to other timesteps than those of its run.

    Args:
        scheduler: of diffusers.

    Warns:
        UserWarning: it does; the message says what to use.
    """
    wrong = isinstance(scheduler, (DDIMScheduler, DDIMParallelScheduler))
    if wrong and scheduler.config.timestep_spacing == "linspace":
        warnings.warn(
            f"{type(scheduler).__name__}(timestep_spacing='linspace') does not step to the next "
            f"timestep of the run, and its images are wrong; use fpdm.EvenDDIMScheduler, or "
            f"scheduler='ddim'.",
            UserWarning,
            stacklevel=3,
        )
