"""What is judged has to be finite: a mean over NaN says nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fpdm.errors import InvalidValueError

LISTED = 20
"""Samples that a message names."""


def check_finite(name: str, samples: NDArray[np.float64]) -> None:
    """Check that every sample is finite.

    Args:
        name: what the message calls them.
        samples: (n, d).

    Raises:
        InvalidValueError: some are not; the message says which, from 0.
    """
    broken = np.flatnonzero(~np.isfinite(samples).all(axis=1)).tolist()
    if broken:
        more = f" and {len(broken) - LISTED} more" if len(broken) > LISTED else ""
        raise InvalidValueError(
            f"{name} holds values that are not finite, in samples "
            f"{', '.join(map(str, broken[:LISTED]))}{more} of {len(samples)}: leave them out, and "
            f"say so."
        )
