"""The sizes of a transformer, checked where they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, fields, frozen

from fpdm.checks import check_choice, flag, real, whole
from fpdm.errors import InvalidValueError

CLOCKS = ("thousand", "sit", "unit")
"""From the clean image to the noise: 0 to 1000, 1 to 0 as networks of SiT have it, or 0 to 1."""


def _clock(_: Any, __: Any, value: object) -> None:
    if value is not None:
        check_choice("clock", value, choices=CLOCKS)


@frozen
class Size:
    """The sizes of a transformer over the patches of a square image.

    Attributes:
        sample_size: height and width of the image.
        patch_size: P; divides `sample_size`.
        in_channels: channels of the image.
        hidden_size: D; a multiple of 4, for the positions, and of `num_heads`.
        num_heads: attention heads.
        num_classes: classes, without the null class.
        mlp_ratio: hidden width of a block's MLP, relative to D.
        learn_sigma: whether the prediction has as many channels again, for the variance.
        has_null_class: whether a label after the others stands for no class.
        stored_positions: whether positions are saved with the weights, or are the sines and
            cosines that can be computed.
        clock: of what a network is told: `thousand`, `sit`, `unit`, or None where it is not known.

    Raises:
        InvalidValueError: a size is not allowed, or two do not fit together.
    """

    sample_size: int = field(validator=whole(minimum=1))
    patch_size: int = field(validator=whole(minimum=1))
    in_channels: int = field(validator=whole(minimum=1))
    hidden_size: int = field(validator=whole(minimum=4))
    num_heads: int = field(validator=whole(minimum=1))
    num_classes: int = field(validator=whole(minimum=0))
    mlp_ratio: float = field(validator=real(above=0))
    learn_sigma: bool = field(validator=flag)
    has_null_class: bool = field(validator=flag)
    stored_positions: bool = field(validator=flag)
    clock: str | None = field(default="thousand", validator=_clock)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Size:
        """Pick the sizes out of a network's configuration.

        Args:
            config: as it was saved; what is no size is passed over.

        Returns:
            The sizes, checked.
        """
        return cls(**{size.name: config[size.name] for size in fields(cls)})

    def __attrs_post_init__(self) -> None:
        for part, total in (("patch_size", "sample_size"), ("num_heads", "hidden_size")):
            if getattr(self, total) % getattr(self, part):
                raise InvalidValueError(
                    f"{part}={getattr(self, part)} must divide {total}={getattr(self, total)}."
                )
        if self.hidden_size % 4:
            raise InvalidValueError(f"hidden_size={self.hidden_size}: must be a multiple of 4.")
        if not self.num_classes + self.has_null_class:
            raise InvalidValueError(
                "num_classes=0 and has_null_class=false: there would be no label at all."
            )

    @property
    def out_channels(self) -> int:
        """Channels of the prediction."""
        return self.in_channels * (2 if self.learn_sigma else 1)
