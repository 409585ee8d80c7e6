"""Init strategies: where the solve of a timestep starts."""

from fpdm_init.extrapolate import Extrapolate
from fpdm_init.features import Features
from fpdm_init.reuse import Reuse

__all__ = ["Extrapolate", "Features", "Reuse"]
