"""Timesteps compiled as one function of tensors."""

from fpdm.compiling.compiled import Compiled
from fpdm.compiling.usual import Usual

__all__ = ["Compiled", "Usual"]
