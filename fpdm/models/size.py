"""The sizes of a transformer, checked where they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, fields, frozen

from fpdm.checks import check_choice, check_extents, check_whole, flag, real, row, whole
from fpdm.errors import InvalidValueError

CLOCKS = ("thousand", "sit", "unit")
"""From the clean image to the noise: 0 to 1000, 1 to 0 as networks of SiT have it, or 0 to 1."""


def _clock(_: Any, __: Any, value: object) -> None:
    if value is not None:
        check_choice("clock", value, choices=CLOCKS)


def _sample_size(_: Any, __: Any, value: Any) -> None:
    if len(extents := check_extents("sample_size", value)) != 2:
        raise InvalidValueError(
            f"sample_size={value!r}: a sample of {len(extents)} dimensions; this network draws "
            f"images, of a height and a width."
        )


def _condition_size(_: Any, __: Any, value: object) -> None:
    if value is not None:
        condition_extents(value)


def condition_extents(value: object) -> tuple[int, ...]:
    """The shape of one condition.

    Args:
        value: K of a vector, or `(T, K)` of a sequence of tokens.

    Returns:
        `(K,)` or `(T, K)`.

    Raises:
        InvalidValueError: it is neither.
    """
    if isinstance(value, int):
        return (check_whole("condition_size", value, minimum=1),)
    if len(extents := check_extents("condition_size", value)) not in (1, 2):
        raise InvalidValueError(f"condition_size={value!r}: must be K, or (T, K) of tokens.")
    return extents


@frozen
class Size:
    """The sizes of a transformer over the patches of an image.

    Attributes:
        sample_size: height and width of the image: a number of a square one, or both.
        patch_size: P; divides them.
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
        condition_size: K, or `(T, K)`, of what it is told in place of a class; None if it is told
            classes.

    Raises:
        InvalidValueError: a size is not allowed, or two do not fit together.
    """

    sample_size: int | tuple[int, ...] = field(converter=row, validator=_sample_size)
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
    condition_size: int | tuple[int, ...] | None = field(
        default=None, converter=row, validator=_condition_size
    )

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
        if any(extent % self.patch_size for extent in self.extents):
            raise InvalidValueError(
                f"patch_size={self.patch_size} must divide sample_size={self.sample_size}."
            )
        if self.hidden_size % self.num_heads:
            raise InvalidValueError(
                f"num_heads={self.num_heads} must divide hidden_size={self.hidden_size}."
            )
        if self.hidden_size % 4:
            raise InvalidValueError(f"hidden_size={self.hidden_size}: must be a multiple of 4.")
        if self.condition_size is not None and self.num_classes:
            raise InvalidValueError(
                f"num_classes={self.num_classes}, condition_size={self.condition_size}: a network "
                f"is told one of them; give num_classes=0."
            )

    @property
    def extents(self) -> tuple[int, ...]:
        """Height and width of the image.

        Raises:
            InvalidValueError: the size is none.
        """
        return check_extents("sample_size", self.sample_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width = self.extents
        return height // self.patch_size, width // self.patch_size

    @property
    def labels(self) -> int:
        """How many labels there are; none of a network that is told none."""
        return 0 if self.condition_size is not None else self.num_classes + self.has_null_class

    @property
    def out_channels(self) -> int:
        """Channels of the prediction."""
        return self.in_channels * (2 if self.learn_sigma else 1)
