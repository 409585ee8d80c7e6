"""Networks: the implicit transformer, and the explicit one it is compared with."""

from fpdm.models.dit import DiT
from fpdm.models.fpdit import FPDiT
from fpdm.models.presets import PRESETS, Preset
from fpdm.models.published import load_published

__all__ = ["PRESETS", "DiT", "FPDiT", "Preset", "load_published"]
