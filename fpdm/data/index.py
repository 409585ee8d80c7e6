"""The index of a folder of latents: what is in it, and how its shards must look."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from attrs import field, frozen

from fpdm.checks import real, row, whole
from fpdm.data.records import (
    build,
    digits_of_sha256,
    matching,
    name_or_none,
    read_record,
    texts,
)
from fpdm.data.shards import Layout
from fpdm.errors import InvalidValueError

INDEX, PLAN = "index.json", "plan.json"


@frozen(kw_only=True)
class ShardEntry:
    """A shard, as the index knows it.

    Attributes:
        file: its name.
        count: of its images.
        bytes: size of the file.
        sha256: of the file, in hexadecimal digits.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    file: str = field(validator=matching(r"shard-\d{5,}\.safetensors", "the name of a shard"))
    count: int = field(validator=whole(minimum=0))
    bytes: int = field(validator=whole(minimum=0))
    sha256: str = field(validator=digits_of_sha256)


def _entries(value: Any) -> tuple[ShardEntry, ...]:
    if not isinstance(value, (list, tuple)):
        raise InvalidValueError(f"shards={value!r}: must be a list.")
    return tuple(
        entry if isinstance(entry, ShardEntry) else build(ShardEntry, entry) for entry in value
    )


@frozen(kw_only=True)
class LatentsIndex(Layout):
    """All there is to know of a folder of latents but the latents and labels themselves.

    Attributes:
        image_size: height and width of the images, in pixels.
        class_names: by number; empty where there are no classes.
        vae: folder or hub name of the `AutoencoderKL` that made the latents; None if unknown.
        scaling_factor: what a network's latents are multiplied by; those in the shards are not.
        shift_factor: what is subtracted from them before.
        shards: the files.
        unreadable: the images that could not be read, and are left out.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    FORMAT: ClassVar[str] = "fpdm latents"
    VERSION: ClassVar[int] = 1

    image_size: int = field(validator=whole(minimum=1))
    class_names: tuple[str, ...] = field(converter=row, validator=texts)
    vae: str | None = field(validator=name_or_none)
    scaling_factor: float = field(validator=real(above=0))
    shift_factor: float = field(validator=real())
    shards: tuple[ShardEntry, ...] = field(converter=_entries)
    unreadable: tuple[str, ...] = field(converter=row, validator=texts)


def read_index(root: Path) -> LatentsIndex:
    """Read the index of a folder.

    Args:
        root: the folder.

    Returns:
        The index, checked.

    Raises:
        InvalidValueError: it is missing or damaged, or holds what an index cannot hold.
    """
    if (root / INDEX).is_file():
        return read_record(root / INDEX, LatentsIndex)
    if (root / PLAN).is_file():
        raise InvalidValueError(f"{root} is incomplete: run the same `fpdm encode` again.")
    raise InvalidValueError(f"{root} has no {INDEX}: must be a folder that `fpdm encode` wrote.")
