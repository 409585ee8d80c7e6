"""A picture of samples beside the real images that are most like them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpdm.cli import console
from fpdm.cli.files import write_picture
from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from fpdm.cli.judged import Judged
    from fpdm.evaluation.features import Extracted

SHOWN = 16
"""Samples of a set."""

NEAREST = 5
"""Real images beside each."""


def check_shows(sets: Sequence[Judged], real: Judged, out: Path) -> None:
    """Check that there is something to look at.

    Args:
        sets: of samples.
        real: the reference.
        out: the picture.

    Raises:
        InvalidValueError: samples are no images, or all that is known of the reference is its
            statistics.
    """
    from fpdm.evaluation import Gaussian

    for each in (*sets, real):
        if isinstance(each.data, Gaussian) or not each.data.shape.is_picture:
            raise InvalidValueError(f"--grid {out}: {each.name} holds no images.")


def draw_copies(
    sets: Sequence[Judged], features: Sequence[Extracted], real: Judged, there: Extracted, out: Path
) -> None:
    """Draw some samples of each set, evenly spread, and to their right what is nearest to them.

    Args:
        sets: of samples.
        features: of each of them.
        real: the reference.
        there: its features.
        out: the picture to write.

    Raises:
        StorageError: it cannot be written.
    """
    from fpdm.drawing import Row, gallery

    rows: list[Any] = []
    for each, here in zip(sets, features, strict=True):
        made = _rows(each, here, real, there)
        rows += [
            Row(label, images, each.name if not index and len(sets) > 1 else "")
            for index, (label, images) in enumerate(made)
        ]
    title = f"Samples, and what is nearest to them in {real.name}"
    write_picture(gallery(rows, title=title), out)
    console.say(f"Wrote samples beside their nearest real images to {out}.")


def _rows(
    judged: Judged, here: Extracted, real: Judged, there: Extracted
) -> list[tuple[str, list[Image.Image]]]:
    """A sample, and the nearest real images, with the distance to the first."""
    import torch

    from fpdm.evaluation import nearest_neighbours

    count = len(here.rows)
    chosen = torch.linspace(0, count - 1, min(SHOWN, count)).long()
    most = min(NEAREST, len(there.rows))
    found = nearest_neighbours(here.rows[chosen.numpy()], there.rows, count=most)
    samples = _images(judged, chosen)
    made = []
    for sample, nearest, distances in zip(samples, found.indices, found.distances, strict=True):
        beside = _images(real, torch.from_numpy(nearest))
        made.append((f"{distances[0]:.3g}", [sample, *beside]))
    return made


def _images(judged: Judged, indices: Tensor) -> list[Image.Image]:
    from PIL import Image

    from fpdm.evaluation.archives import levels

    data: Any = judged.data
    made = levels(data.batch(indices, seeds=indices).images).permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(each[..., 0] if each.shape[-1] == 1 else each) for each in made]
