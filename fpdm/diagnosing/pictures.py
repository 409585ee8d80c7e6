"""The picture of a diagnosis: how solves get on, and what each timestep is like."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fpdm.diagnosing.diagnosis import Diagnosis
from fpdm.runtime.storage import written_file

COLUMNS = 3
WIDTH, HEIGHT = 9.6, 3.0
"""Inches, of the picture and of a row of it."""

COLOURS = "viridis"
RADIUS, NORM, PLAIN = "#D55E00", "#0072B2", "#57606a"
SMALLEST = 1e-8
"""Below which no residual is shown: nothing but rounding is left."""


def draw(found: Diagnosis, path: Path) -> None:
    """Draw a diagnosis.

    Args:
        found: the figures.
        path: of a PNG or SVG.

    Raises:
        StorageError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, HEIGHT * _rows(found, COLUMNS)), layout="constrained")
    FigureCanvasAgg(figure)
    fill(figure, found)
    with written_file(path) as beside:
        figure.savefig(beside, format=path.suffix[1:], dpi=150)


def fill(figure: Any, found: Diagnosis, *, columns: int = COLUMNS) -> None:
    """Draw a diagnosis into a figure of matplotlib: a panel for each solver, and three more.

    Args:
        figure: an empty one.
        found: the figures.
        columns: panels side by side.
    """
    panels = (_jacobian, _distances, _effects)
    rows = _rows(found, columns)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    shown, others = places[: len(found.solvers)], places[len(found.solvers) :]
    for axes, solver in zip(shown, found.solvers, strict=True):
        _residuals(axes, found, solver)
    _alike(shown)
    shown[0].set_ylabel(f"residual, from {_start(found)}")
    _legend(shown[0], found)
    for axes, panel in zip(others, panels, strict=False):
        panel(axes, found)
        axes.grid(visible=True, alpha=0.25)
        axes.set_xlabel("timestep")
        _from_the_noise(axes, found)
    for axes in others[len(panels) :]:
        axes.set_axis_off()
    for axes in places:
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize("medium")


def _rows(found: Diagnosis, columns: int) -> int:
    """How many rows it takes for all solvers and three panels more."""
    return -(-(len(found.solvers) + 3) // columns)


def _residuals(axes: Any, found: Diagnosis, solver: str) -> None:
    """The median residual at each evaluation, a line for each timestep."""
    from matplotlib.ticker import NullLocator

    for finding in found.findings:
        curve = finding.curve(solver, _start(found))
        evaluations = range(1, len(curve.median) + 1)
        colour = _colour(found, finding.timestep)
        heights = [_shown(each) for each in curve.median]
        axes.plot(evaluations, heights, color=colour, linewidth=1.2, marker=_mark(heights))
    axes.axhline(found.tol, color=PLAIN, linewidth=0.9, linestyle="--")
    axes.set(yscale="log", xlabel="evaluation", title=solver)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, alpha=0.25)


def _start(found: Diagnosis) -> str:
    """Where solvers are compared from: where the run starts, or else the first that there is."""
    return found.init if found.init in found.inits else found.inits[0]


def _alike(shown: list[Any]) -> None:
    """The same heights in all panels of solvers."""
    limits = [axes.get_ylim() for axes in shown]
    for axes in shown:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _legend(axes: Any, found: Diagnosis) -> None:
    """Which colour is which timestep, where falling residuals leave room."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = _ends(found)
    if low == high:
        return
    colours = ScalarMappable(Normalize(low, high), COLOURS)
    inside = axes.inset_axes((0.06, 0.17, 0.36, 0.05))
    bar = axes.figure.colorbar(colours, cax=inside, orientation="horizontal")
    bar.set_ticks([low, high], labels=[f"{low:.0f}", f"{high:.0f}"], fontsize="x-small")
    bar.outline.set_visible(False)
    inside.tick_params(length=0, pad=2)
    inside.set_title("timestep", fontsize="x-small", loc="left", pad=3)


def _jacobian(axes: Any, found: Diagnosis) -> None:
    """Spectral radius and norm, the median sample and the worst one."""
    at = [each.timestep for each in found.findings]
    for name, colour in (("radius", RADIUS), ("norm", NORM)):
        extents = [getattr(each, name) for each in found.findings]
        median = [_shown(each.median) for each in extents]
        worst = [_shown(each.worst) for each in extents]
        axes.plot(at, median, color=colour, marker="o", markersize=3.5, label=name)
        axes.plot(at, worst, color=colour, linewidth=0.9, linestyle=":", marker=_mark(worst))
    axes.axhline(1, color=PLAIN, linewidth=0.9, linestyle="--")
    axes.plot([], [], color=PLAIN, linewidth=0.9, linestyle=":", label="worst sample")
    axes.set_title("Jacobian")
    axes.set_ylim(0, 1.5 * max([1.0, *_heights(axes)]))
    axes.legend(frameon=False, loc="upper left", fontsize="x-small", labelspacing=0.2)


def _distances(axes: Any, found: Diagnosis) -> None:
    known = [each for each in found.findings if each.distance is not None]
    heights = [_shown(each.distance or 0.0) for each in known]
    at = [each.timestep for each in known]
    axes.plot(at, heights, color=NORM, marker="o", markersize=3.5)
    axes.set_title("solution moved by")
    axes.set_ylim(0, 1.15 * max(_heights(axes) or [1.0]))


def _effects(axes: Any, found: Diagnosis) -> None:
    at = [each.timestep for each in found.findings]
    heights = [_shown(each.effect) for each in found.findings]
    axes.plot(at, heights, color=RADIUS, marker="o", markersize=3.5)
    axes.set_title("one more iteration")
    axes.set_ylim(0, 1.15 * max(_heights(axes) or [1.0]))


def _from_the_noise(axes: Any, found: Diagnosis) -> None:
    """Timesteps as a run goes through them, the noisiest at the left."""
    low, high = _ends(found)
    margin = 0.03 * (high - low) or 1.0
    axes.set_xlim(high + margin, low - margin)


def _ends(found: Diagnosis) -> tuple[float, float]:
    timesteps = [each.timestep for each in found.findings]
    return min(timesteps), max(timesteps)


def _colour(found: Diagnosis, timestep: float) -> Any:
    from matplotlib import colormaps

    low, high = _ends(found)
    return colormaps[COLOURS]((timestep - low) / (high - low) if low < high else 0.5)


def _shown(figure: float) -> float:
    """What can be drawn of a figure: a gap where it is not finite."""
    return max(figure, SMALLEST) if math.isfinite(figure) else math.nan


def _mark(heights: list[float]) -> str | None:
    """A marker where there is no line to see, of a single point."""
    return "o" if sum(math.isfinite(each) for each in heights) == 1 else None


def _heights(axes: Any) -> list[float]:
    """All finite heights that are drawn."""
    drawn = (float(y) for line in axes.get_lines() for y in line.get_ydata())
    return [each for each in drawn if math.isfinite(each)]
