"""What training wants of a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import field, frozen
from torch import Tensor

from fpdm.checks import check_extents, row, shows


@frozen(eq=False)
class Batch:
    """Some of a data set.

    Attributes:
        images: images in [-1, 1], scaled latents, or samples of another shape; (B, C, …), float32.
        labels: (B,), int64; None where there are no classes.
        unreadable: files that could not be read, in whose place others were taken.
        condition: what else each sample is known by, (B, K) or (B, T, K), float32, finite; None
            where there is nothing.
    """

    images: Tensor
    labels: Tensor | None = None
    unreadable: tuple[str, ...] = ()
    condition: Tensor | None = None


@frozen
class LatentSpace:
    """Where latents come from, so that samples find their way back to images.

    Attributes:
        vae: folder or hub name of the `AutoencoderKL` that made them; None if it is not known.
        scaling_factor: what its latents were multiplied by, after `shift_factor` was subtracted.
        shift_factor: see there.
    """

    vae: str | None
    scaling_factor: float
    shift_factor: float = 0.0


@frozen
class Shape:
    """The sizes that a network takes from its data.

    Attributes:
        channels: of an image or latent; of a point its coordinates.
        size: height and width of a square image; or the extent of each dimension: `()` of points,
            `(L,)` of signals, `(H, W)` of images, `(D, H, W)` of volumes.
        num_classes: 0 where there are none.
        class_names: by number; empty where classes have no names.
        latent_space: None where the data are no latents.
        condition_size: of what else a sample is known by: K of a vector, `(T, K)` of a sequence of
            tokens; None where there is nothing.

    Examples:
        >>> Shape(channels=1, size=8, num_classes=10).sample, Shape(channels=2, size=()).sample
        ((1, 8, 8), (2,))
    """

    channels: int
    size: int | tuple[int, ...] = field(converter=row)
    num_classes: int = 0
    class_names: Mapping[int, str] = field(factory=dict)
    latent_space: LatentSpace | None = None
    condition_size: int | tuple[int, ...] | None = field(default=None, converter=row)

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample, (C, …).

        Raises:
            InvalidValueError: the size is none.
        """
        return (self.channels, *check_extents("size", self.size))

    @property
    def is_picture(self) -> bool:
        """Whether a sample is an image of pixels in [-1, 1], grey or in colours."""
        return self.latent_space is None and shows(self.sample)


class Dataset(ABC):
    """Samples, labelled or not, of which a batch is a function of its indices and seeds.

    What is drawn for a sample, such as whether it is mirrored, comes from its own seed: a batch is
    the same however it is split, and whichever process or worker reads it. A data set is sent to
    worker processes, so it holds no open file.

    A data set that a plugin registers is built with its options as keywords; one that cannot do
    without an option, such as a folder, gives it no default.
    """

    name: ClassVar[str]
    """The name under which the data set is looked up; one that is in no plugin needs none."""

    kept_options: ClassVar[Mapping[str, Any]] = {}
    """Options that a training keeps from its beginning on, whatever is given when it goes on, each
    with its value in trainings that were begun before there was such an option."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """The sizes that a network takes from it."""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    @abstractmethod
    def batch(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Read samples.

        Args:
            indices: which, (B,), int64, from 0 to `len - 1`.
            seeds: for what is drawn for each of them, (B,), int64, ≥ 0.

        Returns:
            The samples, in the order of `indices`.

        Raises:
            InvalidValueError: an index or a seed is not allowed, or a file cannot be read.
        """
