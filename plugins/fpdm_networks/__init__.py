"""The built-in networks, which stand in `fpdm.models`."""
