"""What is judged has to be finite: a mean over NaN says nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fpdm.errors import InvalidValueError, listed


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
        raise InvalidValueError(
            f"{name} holds values that are not finite, in samples "
            f"{listed(broken)} of {len(samples)}: leave them out, and say so."
        )
