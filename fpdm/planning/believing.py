"""How much of what was measured at single timesteps is to be believed.

A few samples whose final picture turns out another one altogether make most of a mean squared
error, and whether they do hangs on chance. A plan that minimises what was measured would collect
such chances.
"""

from __future__ import annotations

import torch
from torch import Tensor


def believed(changes: Tensor) -> Tensor:
    """The mean change of each place, as far as its samples agree, and else what is usual.

    It is drawn towards the mean over the places, the more so the less it exceeds its standard
    error: with `τ²` the variance between places beyond their standard errors `s`,
    `m + τ² / (τ² + s²) (d - m)`. Source: Efron and Morris, Data analysis using Stein's estimator
    and its generalizations, 1975.

    Args:
        changes: of the squared error of each sample at each place, (P, N).

    Returns:
        One change for each place, (P,).

    Examples:
        >>> import torch
        >>> believed(torch.tensor([[1.0, 1.0], [3.0, 3.0]]))  # all samples agree
        tensor([1., 3.])
        >>> believed(torch.tensor([[9.0, -7.0], [3.0, 3.0]]))  # at one place they do not
        tensor([2., 3.])
    """
    means = changes.mean(dim=1)
    if changes.shape[1] < 2 or changes.shape[0] < 2:
        return means
    errors = changes.var(dim=1) / changes.shape[1]
    usual = means.mean()
    between = (means.var() - errors.mean()).clamp(min=0)
    trust = torch.where(errors > 0, between / (between + errors), 1.0)
    return usual + trust * (means - usual)
