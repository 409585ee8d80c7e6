"""Calibrations with made-up numbers, for policies that want one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from fpdm.calibration import Calibration, Sensitivity, Tried, Way
from fpdm.solution import Moment

COUNTS = (1, 2, 3, 5)


def calibration_for(moments: Sequence[Moment], *, seed: int = 0) -> Calibration:
    """Make up a calibration of a run, as wild as one can be that is allowed.

    Args:
        moments: of the run, noisiest first.
        seed: of its numbers.

    Returns:
        A calibration whose timesteps are those of the run, if they are known.

    Examples:
        >>> from fpdm.testing.calibrations import calibration_for
        >>> from fpdm.testing.strategies import moments
        >>> len(calibration_for(moments(7)).sensitivities[0].timesteps)
        7
    """
    rng = random.Random(seed)
    steps = max(len(moments), 2)
    timesteps = [moment.timestep for moment in moments if moment.timestep is not None]
    if len(timesteps) < steps:
        timesteps = [999.0 * (steps - 1 - index) / (steps - 1) for index in range(steps)]
    errors = []
    for _ in range(steps):
        row = [rng.random() * 10 ** rng.randint(-6, 2) for _ in COUNTS]
        errors.append(tuple(rng.choice([row, sorted(row, reverse=True), [0.0] * len(row)])))
    usual = tuple(each[1] for each in errors)
    return Calibration(
        configuration="",
        sketch=(),
        tried=(Tried(Way(), (24, 120), (0.1 + usual[0], 0.01)),),
        sensitivities=(Sensitivity(tuple(timesteps), 2, COUNTS, tuple(errors)),),
    )
