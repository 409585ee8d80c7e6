"""Whether a way can be gone at all: an allocation may know nothing of the timesteps of a run."""

from __future__ import annotations

from typing import Any

from fpdm import plugins
from fpdm.allocator import Allocator
from fpdm.calibration import Calibration, Way
from fpdm.diffusion import samplers
from fpdm.diffusion.moments import moments
from fpdm.diffusion.spread import set_timesteps
from fpdm.errors import InvalidValueError


def wants_calibration(allocation: Any) -> bool:
    """Whether an allocation looks at a calibration.

    Args:
        allocation: by name, by mapping with options, or an object; None is the usual one.
    """
    return allocation is not None and plugins.resolve("allocation", allocation).calibrated


def fits(way: Way, steps: int, *, pipe: Any, calibration: Calibration) -> bool:
    """Whether the allocation of a way can be planned by a calibration.

    Args:
        way: how a run spends its budget.
        steps: timesteps of the run.
        pipe: the pipeline that draws.
        calibration: of it.
    """
    if not wants_calibration(way.allocation):
        return True
    try:
        scheduler = samplers.of_run(
            pipe.scheduler,
            way.scheduler,
            predicted=pipe.config["prediction_type"],
            learned_variance=bool(pipe.model.config.get("learn_sigma")),
        )
        set_timesteps(scheduler, steps, spacing=way.spacing)
        calls = moments(scheduler)
        least = {"budget": len(calls), "steps": len(calls)}
        policy = plugins.resolve("allocation", way.allocation)
        Allocator(policy, **least, moments=calls, calibration=calibration)
    except InvalidValueError:
        return False
    return True
