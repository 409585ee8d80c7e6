"""Registers the built-in gradient estimators."""

import fpdm_gradients as gradients
from fpdm import GradientEstimator, hookimpl


@hookimpl
def fpdm_register_gradients() -> list[type[GradientEstimator]]:
    """The estimators, in the order in which they are listed."""
    return [
        gradients.SJFB,
        gradients.JFB,
        gradients.Unrolled,
        gradients.Implicit,
        gradients.Phantom,
    ]
