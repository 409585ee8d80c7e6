"""Allocation policies: how a budget of iterations is spent over the timesteps."""

from fpdm_allocation.adaptive import Adaptive
from fpdm_allocation.constant import Constant
from fpdm_allocation.linear import Decreasing, Increasing
from fpdm_allocation.measured import Measured
from fpdm_allocation.weighted import Weighted

__all__ = ["Adaptive", "Constant", "Decreasing", "Increasing", "Measured", "Weighted"]
