"""Data sets."""

from fpdm.data.dataset import Batch, Dataset, LatentSpace, Shape
from fpdm.data.digits import digits
from fpdm.data.labelled import LabelledImages

__all__ = ["Batch", "Dataset", "LabelledImages", "LatentSpace", "Shape", "digits"]
