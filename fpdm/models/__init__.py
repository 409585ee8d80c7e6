"""Networks: the implicit transformer, and the explicit one it is compared with."""

from diffusers.configuration_utils import register_to_config

from fpdm.models.block import Block
from fpdm.models.bound import Bound
from fpdm.models.conditioning import Conditioning, Conditions, Embeddings, TimestepEmbedding
from fpdm.models.diffusers_dit import DiffusersDiT, open_dit
from fpdm.models.dit import DiT
from fpdm.models.embedded import EmbeddedNetwork
from fpdm.models.fpdit import FixedPointBlock, FPDiT
from fpdm.models.grown import implicit_from_explicit
from fpdm.models.mlp import MLP
from fpdm.models.parted import FixedPointNetwork
from fpdm.models.patches import PatchNetwork
from fpdm.models.positions import sincos_positions
from fpdm.models.presets import PRESETS, Preset
from fpdm.models.published import load_published
from fpdm.models.saved import SavedNetwork
from fpdm.models.transformer import Decoder, Encoder, initialise
from fpdm.models.unet import FPUNet

__all__ = [
    "MLP",
    "PRESETS",
    "Block",
    "Bound",
    "Conditioning",
    "Conditions",
    "Decoder",
    "DiT",
    "DiffusersDiT",
    "EmbeddedNetwork",
    "Embeddings",
    "Encoder",
    "FPDiT",
    "FPUNet",
    "FixedPointBlock",
    "FixedPointNetwork",
    "PatchNetwork",
    "Preset",
    "SavedNetwork",
    "TimestepEmbedding",
    "implicit_from_explicit",
    "initialise",
    "load_published",
    "open_dit",
    "register_to_config",
    "sincos_positions",
]
