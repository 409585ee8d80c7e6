"""The hooks of a plugin: one for each kind, without arguments, returning a list of classes.

A plugin is a module named in the entry-point group `fpdm`, with any of these functions in it,
each marked with `fpdm.hookimpl`. A class carries the name under which it is looked up.
"""

from __future__ import annotations

import pluggy

from fpdm.interfaces import AllocationPolicy, FixedPointSolver, GradientEstimator, InitStrategy

hookspec = pluggy.HookspecMarker("fpdm")
hookimpl = pluggy.HookimplMarker("fpdm")


@hookspec
def fpdm_register_solvers() -> list[type[FixedPointSolver]]:  # type: ignore[empty-body]
    """Return solver classes, found afterwards by `fpdm.solver(name)`."""


@hookspec
def fpdm_register_allocations() -> list[type[AllocationPolicy]]:  # type: ignore[empty-body]
    """Return allocation policies, found afterwards by `fpdm.allocation(name)`."""


@hookspec
def fpdm_register_inits() -> list[type[InitStrategy]]:  # type: ignore[empty-body]
    """Return init strategies, found afterwards by `fpdm.init(name)`."""


@hookspec
def fpdm_register_gradients() -> list[type[GradientEstimator]]:  # type: ignore[empty-body]
    """Return gradient estimators, found afterwards by `fpdm.gradient(name)`."""
