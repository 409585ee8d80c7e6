"""Registers what this package brings; the entry point in `pyproject.toml` names this module."""

from fpdm import AllocationPolicy, FixedPointSolver, hookimpl

from fpdm_example.cosine import Cosine
from fpdm_example.irons_tuck import IronsTuck


@hookimpl
def fpdm_register_solvers() -> list[type[FixedPointSolver]]:
    """Register the solvers."""
    return [IronsTuck]


@hookimpl
def fpdm_register_allocations() -> list[type[AllocationPolicy]]:
    """Register the allocations."""
    return [Cosine]
