"""Data sets."""

from fpdm.data.digits import digits
from fpdm.data.labelled import LabelledImages

__all__ = ["LabelledImages", "digits"]
