"""Registers the built-in networks."""

import fpdm
from fpdm import Network, hookimpl


@hookimpl
def fpdm_register_networks() -> list[type[Network]]:
    """The networks, in the order in which they are listed."""
    from fpdm.models import MLP, FPUNet  # which takes long, and is not wanted by everybody

    return [fpdm.FPDiT, fpdm.DiT, FPUNet, MLP]
