"""The built-in data sets, which stand in `fpdm.data`."""
