"""Gradient estimators: how a fixed-point solve is differentiated in training."""

from fpdm_gradients.implicit import Implicit
from fpdm_gradients.jfb import JFB
from fpdm_gradients.phantom import Phantom
from fpdm_gradients.sjfb import SJFB
from fpdm_gradients.unrolled import Unrolled

__all__ = ["JFB", "SJFB", "Implicit", "Phantom", "Unrolled"]
