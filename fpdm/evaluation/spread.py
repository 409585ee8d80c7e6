"""Several sets of samples, such as of several seeds: the mean, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from fpdm.errors import InvalidValueError
from fpdm.evaluation.outcome import MEASURES, Evaluation


@frozen
class Spread:
    """What one measure is over several sets of samples.

    Attributes:
        mean: over the sets.
        deviation: the standard deviation between them, with n - 1.
    """

    mean: float
    deviation: float


def spread(evaluations: Sequence[Evaluation]) -> dict[str, Spread]:
    """The mean and the standard deviation of each measure over several sets of samples.

    Args:
        evaluations: of two sets or more, against one reference by the same features.

    Returns:
        By the name of the measure; those that some of them lack are left out.

    Raises:
        InvalidValueError: there are fewer than two, or they are of different features.
    """
    if len(evaluations) < 2:
        raise InvalidValueError(f"{len(evaluations)} evaluations: a spread is of two or more.")
    if len({each.features for each in evaluations}) > 1:
        raise InvalidValueError("evaluations of different features: they cannot be compared.")
    found = {}
    for name in MEASURES:
        values = [getattr(each, name) for each in evaluations]
        if None not in values:
            found[name] = Spread(float(np.mean(values)), float(np.std(values, ddof=1)))
    return found
