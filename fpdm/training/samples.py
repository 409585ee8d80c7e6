"""Pictures of samples, to look at while a training runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fpdm.checks import shows
from fpdm.data import Dataset
from fpdm.diffusion.conditions import CONDITION, keyword_of
from fpdm.drawing.asked import asked
from fpdm.drawing.gallery import gallery, rows_by_class
from fpdm.drawing.plots import plot
from fpdm.pipeline import FPDMPipeline
from fpdm.training.config import TrainConfig

if TYPE_CHECKING:
    from PIL import Image

PLOTTED = 400
"""Samples of a plot, at least, so that one sees what they are like."""


def draw_samples(
    pipe: FPDMPipeline, config: TrainConfig, data: Dataset, *, title: str
) -> Image.Image | None:
    """Draw a picture of samples, every class in turn; None if there is no way to images.

    The noise is the same at every step, so that pictures can be compared. In the place of an image
    that is not finite is a cross. Samples that are no images are plotted.

    Args:
        pipe: the pipeline that draws.
        config: of the training: how many, with what budget, from what seed.
        data: of the training, whose first conditions are drawn if the network takes any.
        title: what stands above them.

    Returns:
        The picture.

    Warns:
        SamplingWarning: images are not finite; it names them.
    """
    shape, count = pipe.sample_shape, config.tracking.samples
    images = len(shape) == 3
    if images and pipe.vae is None and not shows(shape):
        return None
    count = count if images else max(count, PLOTTED)
    wanted = asked(pipe, None, _conditions(pipe, data, count))
    pipe.classes.tell(wanted.classes)  # which the training has said already
    pipe.set_progress_bar_config(disable=True)
    made: Any = pipe(
        **wanted.of(range(count)),
        budget=_affordable(pipe, config.tracking.samples_budget),
        generator=torch.Generator().manual_seed(config.seed),
    )
    labels = wanted.of(range(count)).get("class_labels", [])
    if not images:
        return plot(np.asarray(made.images), title=title, classes=labels)
    shown: Any = [None if i in made.broken else image for i, image in enumerate(made.images)]
    rows = rows_by_class(labels or [0] * count, shown, pipe.classes.names)
    return gallery(rows, title=title)


def _conditions(pipe: FPDMPipeline, data: Dataset, count: int) -> Tensor | None:
    if keyword_of(pipe.model) != CONDITION:
        return None
    indices = torch.arange(count) % len(data)
    return data.batch(indices, torch.zeros_like(indices)).condition


def _affordable(pipe: Any, budget: int) -> int:
    """At least one timestep; for an explicit network whole ones, since it has no other use."""
    explicit = pipe.model.pre_passes + pipe.model.post_passes
    if getattr(pipe.model, "layer", None) is None:
        return int(max(1, budget // explicit) * explicit)
    return max(budget, explicit + 2)
