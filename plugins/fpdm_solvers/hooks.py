"""Registers the built-in solvers."""

import fpdm_solvers as solvers
from fpdm import FixedPointSolver, hookimpl


@hookimpl
def fpdm_register_solvers() -> list[type[FixedPointSolver]]:
    """The solvers, in the order in which they are listed."""
    return [
        solvers.Naive,
        solvers.Anderson,
        solvers.Broyden,
        solvers.TorchdeqNaive,
        solvers.TorchdeqAnderson,
        solvers.TorchdeqBroyden,
    ]
