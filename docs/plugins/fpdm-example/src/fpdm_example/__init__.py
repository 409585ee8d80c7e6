"""Irons-Tuck relaxation and a cosine allocation for fpdm."""

from fpdm_example.cosine import Cosine
from fpdm_example.irons_tuck import IronsTuck

__all__ = ["Cosine", "IronsTuck"]
