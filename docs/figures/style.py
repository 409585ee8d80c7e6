"""How every figure looks: a white card with rounded corners, legible on a phone, on any page.

Colours are those of Okabe and Ito, which can be told apart whatever one's colour vision; lines also
differ in their markers or dashes. Two runs write the same bytes: glyphs are drawn as paths of the
font that comes with matplotlib, and neither date nor version is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

import data

IMAGES = Path(__file__).parent.parent / "images"
WIDTH = 5.0  # inches; a phone of 390 CSS pixels shows it at three quarters of its size

INK, SOFT, RULE, PALE = "#1f2328", "#57606a", "#d0d7de", "#eef1f4"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE = "#56B4E9", "#CC79A7"

matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 10.5,
        "mathtext.fontset": "dejavusans",
        "text.color": INK,
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "axes.labelsize": 10.5,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e8ec",
        "grid.linewidth": 0.8,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.5,
        "svg.fonttype": "path",
        "svg.hashsalt": "fpdm",
    }
)


def card(height: float, *, layout: str = "constrained") -> Figure:
    """An empty figure of the common width and a height in inches, on its white card."""
    figure = Figure((WIDTH, height), layout=layout)
    figure.patch.set_alpha(0)
    inset = 0.01
    card = FancyBboxPatch(
        (inset / WIDTH, inset / height),
        1 - 2 * inset / WIDTH,
        1 - 2 * inset / height,
        boxstyle="round,pad=0,rounding_size=0.022",
        mutation_aspect=WIDTH / height,
        transform=figure.transFigure,
        facecolor="white",
        edgecolor=RULE,
        linewidth=1,
        zorder=-10,
    )
    card.set_in_layout(False)
    figure.add_artist(card)
    if layout == "constrained":
        margin = 0.12
        figure.get_layout_engine().set(
            w_pad=0.05,
            h_pad=0.05,
            rect=(
                margin / WIDTH,
                margin / height,
                1 - 2 * margin / WIDTH,
                1 - 2 * margin / height,
            ),
        )
    return figure


def direct(axes: Axes, x: float, y: float, text: str, colour: str, **options: object) -> None:
    """A label in the colour of what it stands beside."""
    axes.text(x, y, text, color=colour, **{"fontsize": 10, "va": "center", **options})


def heading(axes: Axes, text: str) -> None:
    """A bold line over the title of the first axes of a column."""
    place = {"xycoords": "axes fraction", "xytext": (0, 24), "textcoords": "offset points"}
    axes.annotate(text, (0, 1), fontsize=11, fontweight="bold", **place)


def save(figure: Figure, name: str) -> None:
    """Write `docs/images/NAME.svg`."""
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None, "Creator": None})


def main(
    name: str,
    *,
    draw: Callable[[], Figure],
    measure: Callable[[], Iterable[Mapping[str, object]]] | None = None,
) -> None:
    """The command line of a figure: draw it, after measuring where that is asked for."""
    parser = argparse.ArgumentParser(description=f"Draws docs/images/{name}.svg.")
    if measure is not None:
        said = f"write docs/tables/{name}.csv first"
        parser.add_argument("measure", nargs="?", choices=["measure"], help=said)
    if vars(parser.parse_args()).get("measure"):
        data.write(name, measure())
    save(draw(), name)
