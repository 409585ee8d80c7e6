"""Pictures of samples, to look at while a training runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from fpdm.drawing.gallery import gallery, rows_by_class
from fpdm.pipeline import PIXEL_CHANNELS
from fpdm.training.config import TrainConfig

if TYPE_CHECKING:
    from PIL import Image


def draw_samples(pipe: Any, config: TrainConfig, *, title: str) -> Image.Image | None:
    """Draw a grid of samples, every class in turn; None if there is no way to images.

    The noise is the same at every step, so that pictures can be compared. In the place of an image
    that is not finite is a cross.

    Args:
        pipe: the pipeline that draws.
        config: of the training: how many, with what budget, from what seed.
        title: what stands above them.

    Returns:
        The picture.

    Warns:
        SamplingWarning: images are not finite; it names them.
    """
    if pipe.vae is None and pipe.model.config["in_channels"] not in PIXEL_CHANNELS:
        return None
    wanted = range(pipe.classes.count) or [pipe.classes.null]
    count = config.tracking.samples
    labels = [wanted[index % len(wanted)] for index in range(count)]
    pipe.classes.tell(wanted)  # which the training has said already
    pipe.set_progress_bar_config(disable=True)
    made = pipe(
        labels,
        budget=_affordable(pipe, config.tracking.samples_budget),
        generator=torch.Generator().manual_seed(config.seed),
    )
    images = [None if i in made.broken else image for i, image in enumerate(made.images)]
    return gallery(rows_by_class(labels, images, pipe.classes.names), title=title)


def _affordable(pipe: Any, budget: int) -> int:
    """At least one timestep; for an explicit network whole ones, since it has no other use."""
    explicit = pipe.model.pre_passes + pipe.model.post_passes
    if getattr(pipe.model, "layer", None) is None:
        return int(max(1, budget // explicit) * explicit)
    return max(budget, explicit + 2)
