"""Registers the built-in init strategies."""

import fpdm_init as inits
from fpdm import InitStrategy, hookimpl


@hookimpl
def fpdm_register_inits() -> list[type[InitStrategy]]:
    """The strategies, in the order in which they are listed."""
    return [inits.Features, inits.Reuse, inits.Extrapolate]
