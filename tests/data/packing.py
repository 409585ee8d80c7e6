"""How the pictures of the package were packed; `fpdm.data.packed_images` is the way back.

`python -m tests.data.packing pictures.npz packed.xz` packs `images` (N, H, H, 3), `labels` and
`styles`, all of them uint8.
"""

import lzma
import sys
from pathlib import Path

import numpy as np

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 2, "lp": 2, "pb": 2}]


def pack(images: np.ndarray, labels: np.ndarray, styles: np.ndarray) -> bytes:
    """The bytes of a file: pictures of a style in an order in which neighbours are alike."""
    chosen = (np.flatnonzero(styles == style) for style in np.unique(styles))
    order = np.concatenate([these[alike(images[these])] for these in chosen])
    red, green, blue = np.moveaxis(images[order].transpose(0, 2, 1, 3), -1, 0)
    pixels = np.stack([green, red - green, blue - green, 0 * green], axis=-1)  # modulo 256
    number = order.astype(">u2").view(np.uint8).reshape(-1, 2)
    head = np.stack([number[:, 0], number[:, 1], labels[order], styles[order]])
    return lzma.compress(head.tobytes() + pixels.tobytes(), filters=FILTERS)


def alike(images: np.ndarray) -> np.ndarray:
    """An order in which each picture is followed by that with which it has most pixels in common.

    White ones, of the ground, are not counted.
    """
    colour = (images.astype(np.uint32) << np.uint32([0, 8, 16])).sum(-1).reshape(len(images), -1)
    inked = colour != 0xFFFFFF
    left, order = np.ones(len(images), dtype=bool), [0]
    for _ in range(len(images) - 1):
        last = order[-1]
        left[last] = False
        common = ((colour == colour[last]) & inked).sum(1)
        order.append(int(np.where(left, common, -1).argmax()))
    return np.array(order)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    with np.load(source) as read:
        target.write_bytes(pack(read["images"], read["labels"], read["styles"]))
