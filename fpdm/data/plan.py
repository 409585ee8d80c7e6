"""All that the latents of a folder of images depend on."""

from __future__ import annotations

from math import ceil
from typing import ClassVar

from attrs import field, frozen

from fpdm.checks import choice, flag, whole
from fpdm.data.records import digits_of_sha256, name_or_none
from fpdm.data.shards import DTYPES, STORED


@frozen(kw_only=True)
class Plan:
    """What is to be encoded, and how; two runs of one plan write the same bytes.

    Attributes:
        images: how many files there are.
        listing: SHA-256 of their names and sizes.
        vae: folder or hub name of the `AutoencoderKL`; None if it has none.
        vae_sha256: of its configuration and weights.
        image_size: height and width, in pixels.
        store: `moments` or `sample`.
        flip: whether the mirrored images are encoded too.
        dtype: of the latents.
        batch_size: how many images the VAE sees at once.
        shard_size: images in a shard, before unreadable ones are left out.
        seed: of samples.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    FORMAT: ClassVar[str] = "fpdm plan of latents"
    VERSION: ClassVar[int] = 1

    images: int = field(validator=whole(minimum=1))
    listing: str = field(validator=digits_of_sha256)
    vae: str | None = field(validator=name_or_none)
    vae_sha256: str = field(validator=digits_of_sha256)
    image_size: int = field(validator=whole(minimum=1))
    store: str = field(validator=choice(*STORED))
    flip: bool = field(validator=flag)
    dtype: str = field(validator=choice(*DTYPES))
    batch_size: int = field(validator=whole(minimum=1))
    shard_size: int = field(validator=whole(minimum=1))
    seed: int = field(validator=whole(minimum=0, maximum=2**31 - 1))

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return ceil(self.images / self.shard_size)

    def end(self, shard: int) -> int:
        """The index after the last image of a shard.

        Args:
            shard: which, from 0.
        """
        return min((shard + 1) * self.shard_size, self.images)

    def batches(self, shard: int) -> list[range]:
        """The indices of the images that the VAE sees at once.

        Args:
            shard: which, from 0.
        """
        end = self.end(shard)
        starts = range(shard * self.shard_size, end, self.batch_size)
        return [range(start, min(start + self.batch_size, end)) for start in starts]

    def differences(self, other: Plan) -> list[str]:
        """What another plan says otherwise, in words.

        Args:
            other: the plan of an earlier run.
        """
        names = ("image_size", "store", "flip", "dtype", "batch_size", "shard_size", "seed", "vae")
        said = [
            f"{name}={getattr(other, name)}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]
        if self.vae_sha256 != other.vae_sha256:
            said.append("other weights of the VAE")
        if self.listing != other.listing:
            said.append(f"other images ({other.images}, now {self.images})")
        return said
