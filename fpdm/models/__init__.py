"""Networks: the implicit transformer, and the explicit one it is compared with."""

from fpdm.models.block import Block
from fpdm.models.conditioning import Conditioning, Conditions, Embeddings, TimestepEmbedding
from fpdm.models.diffusers_dit import DiffusersDiT, open_dit
from fpdm.models.dit import DiT
from fpdm.models.fpdit import FixedPointBlock, FPDiT
from fpdm.models.patches import PatchNetwork
from fpdm.models.positions import sincos_positions
from fpdm.models.presets import PRESETS, Preset
from fpdm.models.published import load_published
from fpdm.models.saved import SavedNetwork
from fpdm.models.transformer import Decoder, Encoder, initialise

__all__ = [
    "PRESETS",
    "Block",
    "Conditioning",
    "Conditions",
    "Decoder",
    "DiT",
    "DiffusersDiT",
    "Embeddings",
    "Encoder",
    "FPDiT",
    "FixedPointBlock",
    "PatchNetwork",
    "Preset",
    "SavedNetwork",
    "TimestepEmbedding",
    "initialise",
    "load_published",
    "open_dit",
    "sincos_positions",
]
