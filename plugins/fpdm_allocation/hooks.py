"""Registers the built-in allocation policies."""

import fpdm_allocation as allocations
from fpdm import AllocationPolicy, hookimpl


@hookimpl
def fpdm_register_allocations() -> list[type[AllocationPolicy]]:
    """The policies, in the order in which they are listed."""
    return [
        allocations.Constant,
        allocations.Increasing,
        allocations.Decreasing,
        allocations.Adaptive,
        allocations.Measured,
        allocations.Weighted,
    ]
