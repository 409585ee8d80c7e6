"""Timesteps compiled as one function of tensors."""

from fpdm.compiling.compiled import Compiled
from fpdm.compiling.usual import compiled_alike

__all__ = ["Compiled", "compiled_alike"]
