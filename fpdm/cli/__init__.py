"""The command line."""

from fpdm.cli.app import main

__all__ = ["main"]
