"""Registers the built-in networks."""

import fpdm
from fpdm import Network, hookimpl


@hookimpl
def fpdm_register_networks() -> list[type[Network]]:
    """The networks, in the order in which they are listed."""
    return [fpdm.FPDiT, fpdm.DiT]
