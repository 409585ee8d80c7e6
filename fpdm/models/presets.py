"""The published sizes: S, B, L and XL, with patches of 2, 4 or 8. Peebles and Xie, ICCV 2023."""

from __future__ import annotations

from attrs import frozen

from fpdm.errors import UnknownNameError, suggest


@frozen
class Preset:
    """The size of a transformer.

    Attributes:
        depth: blocks of a DiT; an FPDiT has depths of its own.
        hidden_size: width D.
        num_heads: attention heads.
        patch_size: side of a patch.
    """

    depth: int
    hidden_size: int
    num_heads: int
    patch_size: int


_SIZES = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}

PRESETS = {
    f"{size}/{patch}": Preset(*numbers, patch_size=patch)
    for size, numbers in _SIZES.items()
    for patch in (2, 4, 8)
}


def preset(name: str) -> Preset:
    """Return a preset.

    Args:
        name: such as `"XL/2"`.

    Raises:
        UnknownNameError: there is none; the message lists what there is.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"No preset is named {name!r}. {suggest(name, PRESETS)}")
    return PRESETS[name]
