"""Pictures of one size in one compressed file, without a loss.

The stream is LZMA2. Drawn pictures repeat themselves, and one another: they are in an order in
which neighbours have many pixels in common, each column by column, and a pixel is four bytes,
`green, red - green, blue - green, 0`, so that what is alike lies at the same place of four.
"""

from __future__ import annotations

from pathlib import Path

import torch
from attrs import frozen
from torch import Tensor

from fpdm.errors import InvalidValueError, MissingDependencyError

HEAD = 4
"""Bytes of a picture beside its pixels: its number, in two, its label, and its style."""


@frozen(eq=False)
class PackedImages:
    """What a file holds, in the order in which the pictures were before they were packed.

    Attributes:
        levels: of brightness, (N, 3, H, H), uint8.
        labels: the class of each, (N,), int64.
        styles: by whom each was drawn, (N,), int64.
    """

    levels: Tensor
    labels: Tensor
    styles: Tensor


def unpack(path: Path, *, size: int) -> PackedImages:
    """Read a file of pictures.

    Args:
        path: of the file.
        size: height and width H of the pictures, in pixels.

    Returns:
        The pictures, with what is known of each.

    Raises:
        InvalidValueError: the file is damaged, or holds pictures of another size.
        MissingDependencyError: this Python was built without LZMA.
    """
    try:
        import lzma
    except ImportError as error:
        raise MissingDependencyError(
            f"{path.name} is packed with LZMA, without which this Python was built: use another."
        ) from error
    try:
        stream = torch.frombuffer(bytearray(lzma.decompress(path.read_bytes())), dtype=torch.uint8)
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise InvalidValueError(f"{path} is damaged: install the package again.") from error
    count, rest = divmod(len(stream), HEAD + 4 * size**2)
    if rest:
        raise InvalidValueError(f"{path} does not hold pictures of {size} × {size} pixels.")
    head, body = stream[: HEAD * count].view(HEAD, count).long(), stream[HEAD * count :]
    levels = torch.empty(count, 3, size, size, dtype=torch.uint8)
    where = torch.argsort(256 * head[0] + head[1])  # of each picture, its place in the stream
    green, red, blue, _ = body.view(count, size, size, 4).transpose(1, 2).unbind(-1)
    for channel, plane in enumerate((red + green, green, blue + green)):  # modulo 256
        levels[:, channel] = plane[where]
    return PackedImages(levels, head[2][where], head[3][where])
