"""Data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.data.dataset import Batch, Dataset, LatentSpace, Shape
from fpdm.runtime.lazy import lazy

if TYPE_CHECKING:
    from fpdm.data.encode_folder import encode
    from fpdm.data.encoding import EncodedShard
    from fpdm.data.fast_dit import FastDiT
    from fpdm.data.folder import ImageFolder
    from fpdm.data.handwritten import Digits, digits
    from fpdm.data.labelled import LabelledImages
    from fpdm.data.latents import Latents
    from fpdm.data.pictograms import Emoji, emoji
    from fpdm.data.pixels import square
    from fpdm.data.tensors import Tensors

__all__ = [
    "Batch",
    "Dataset",
    "Digits",
    "Emoji",
    "EncodedShard",
    "FastDiT",
    "ImageFolder",
    "LabelledImages",
    "LatentSpace",
    "Latents",
    "Shape",
    "Tensors",
    "digits",
    "emoji",
    "encode",
    "square",
]

__getattr__ = lazy(  # what reads files loads when it is first used
    __name__,
    {
        "Digits": "fpdm.data.handwritten",
        "Emoji": "fpdm.data.pictograms",
        "EncodedShard": "fpdm.data.encoding",
        "FastDiT": "fpdm.data.fast_dit",
        "ImageFolder": "fpdm.data.folder",
        "LabelledImages": "fpdm.data.labelled",
        "Latents": "fpdm.data.latents",
        "Tensors": "fpdm.data.tensors",
        "digits": "fpdm.data.handwritten",
        "emoji": "fpdm.data.pictograms",
        "encode": "fpdm.data.encode_folder",
        "square": "fpdm.data.pixels",
    },
)
