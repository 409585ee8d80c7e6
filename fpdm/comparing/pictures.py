"""Figures of a comparison: distance against cost, and samples side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from fpdm.comparing.report import FRECHET, Row, frontier
from fpdm.drawing.gallery import Row as Shown
from fpdm.drawing.gallery import gallery
from fpdm.runtime.storage import written_file

COSTS = {
    "passes": "block passes of a sample",
    "multiply_adds": "multiply-adds of a sample",
    "seconds": "seconds for all samples",
}
MARKERS = "osD^vPX*"


def draw_curves(found: Sequence[Row], features: str, path: Path) -> None:
    """Distance against each cost, on logarithmic axes: for each network what nothing cheaper beats.

    The bars go from the lowest to the highest of the seeds.

    Args:
        found: of a comparison.
        features: by which distance.
        path: of a PNG or SVG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(COSTS), sharey=True)
    names = list(dict.fromkeys(row.cell.network for row in found))
    for axis, (cost, said) in zip(axes, COSTS.items(), strict=True):
        for index, name in enumerate(names):
            own = frontier(found, name, features, cost)
            distances = [row.figures[features][FRECHET] for row in own]
            half = [row.spread[features][FRECHET] / 2 for row in own]
            axis.errorbar(
                [getattr(row, cost) for row in own],
                distances,
                half,
                label=name,
                marker=MARKERS[index % len(MARKERS)],
                capsize=3,
            )
        axis.set(xscale="log", yscale="log", xlabel=said)
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0].set_ylabel(f"Fréchet distance, {features}")
    axes[-1].legend()
    with written_file(path) as beside:
        figure.savefig(beside, format=path.suffix[1:], dpi=150)


def draw_samples(
    rows: Mapping[str, Sequence[Row]], samples: Mapping[str, Tensor], path: Path
) -> None:
    """Samples of the same noise in groups, a row for each cell.

    Args:
        rows: what each group shows, by its heading.
        samples: by the label of a cell, (n, C, H, W), uint8.
        path: of a PNG.
    """
    shown = []
    for heading, group in rows.items():
        for index, row in enumerate(group):
            images = [_image(each) for each in samples[row.cell.label]]
            label = f"{row.cell.network}, {row.steps} timesteps"
            shown.append(Shown(label, images, heading if index == 0 else ""))
    picture = gallery(shown, title="The same noise, at equal cost")
    with written_file(path) as beside:
        picture.save(beside, format="PNG")


def _image(values: Tensor) -> Image.Image:
    channels = np.ascontiguousarray(values.permute(1, 2, 0).numpy())
    return Image.fromarray(channels[..., 0] if channels.shape[-1] == 1 else channels)
