"""Data sets."""

from fpdm.data.dataset import Batch, Dataset, LatentSpace, Shape
from fpdm.data.digits import digits
from fpdm.data.encode import encode
from fpdm.data.encoding import EncodedShard
from fpdm.data.fast_dit import FastDiT
from fpdm.data.folder import ImageFolder
from fpdm.data.labelled import LabelledImages
from fpdm.data.latents import Latents

__all__ = [
    "Batch",
    "Dataset",
    "EncodedShard",
    "FastDiT",
    "ImageFolder",
    "LabelledImages",
    "LatentSpace",
    "Latents",
    "Shape",
    "digits",
    "encode",
]
