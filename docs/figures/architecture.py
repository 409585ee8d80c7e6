"""The parts of a fixed point diffusion model, in sampling and in training."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import style

HEIGHT = 8.85
EXPLICIT, IMPLICIT, ONCE, PLUGIN = "#dfe5eb", "#e3f1fa", "#ffffff", "#fdeecb"
RED = style.RED
Point = tuple[float, float]


def draw() -> Figure:
    """Coordinates are hundredths of an inch, from the upper left."""
    figure = style.card(HEIGHT, layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 100 * style.WIDTH), ylim=(100 * HEIGHT, 0))
    axes.axis("off")
    sampling(axes)
    training(axes)
    legend(axes)
    return figure


def sampling(axes: Axes) -> None:
    """One timestep, and what goes on to the next."""
    words(axes, 18, 30, "Sampling: each timestep", size=12, weight="bold", ha="left")
    words(axes, 307, 72, "$x_t$", size=13)
    arrow(axes, (307, 84), (307, 104))
    box(axes, 197, 104, 220, 38, EXPLICIT, "$f_{pre}$: explicit blocks, once")
    words(axes, 317, 160, "features $h$", ha="left")

    box(axes, 158, 178, 302, 322, IMPLICIT, edge=style.BLUE)
    words(axes, 448, 195, "implicit layer", ha="right", colour=style.BLUE, weight="bold")
    box(axes, 194, 212, 254, 78, ONCE)
    words(axes, 321, 228, "bind: once per timestep", weight="bold")
    words(axes, 321, 250, "injection of $h$")
    words(axes, 321, 271, "modulations from $t$ and class")
    line(axes, [(307, 200), (180, 200), (180, 380)], style.INK)
    arrow(axes, (180, 370), (180, 398))
    arrow(axes, (307, 142), (307, 212))
    arrow(axes, (372, 290), (372, 316))
    words(axes, 381, 302, "$f$", ha="left")
    box(axes, 297, 316, 151, 124, ONCE)
    words(axes, 372, 333, "iterate: $k$ times", weight="bold")
    words(axes, 372, 358, "$z \\leftarrow f(z)$", size=13)
    words(axes, 372, 382, "one shared block")
    pill(axes, 302, 398, 141, "FixedPointSolver")

    words(axes, 79, 258, "budget", size=11)
    arrow(axes, (79, 270), (79, 326))
    pill(axes, 10, 326, 138, "AllocationPolicy")
    arrow(axes, (148, 342), (297, 342))
    words(axes, 240, 330, "$k$ iterations")
    pill(axes, 166, 398, 108, "InitStrategy")
    arrow(axes, (274, 414), (297, 414))
    words(axes, 285, 400, "$z_0$")

    arrow(axes, (372, 440), (372, 522))
    words(axes, 382, 482, "$z^*$", ha="left", size=12)
    line(axes, [(372, 466), (220, 466)], style.GREEN)
    arrow(axes, (220, 466), (220, 430), style.GREEN)
    line(axes, [(220, 466), (79, 466)], style.GREEN, dashed=True)
    arrow(axes, (79, 466), (79, 358), style.GREEN, dashed=True)
    words(axes, 87, 412, "adaptive", colour=style.GREEN, ha="left")
    words(axes, 12, 486, "history: start,", colour=style.GREEN, ha="left")
    words(axes, 12, 504, "carry and count of", colour=style.GREEN, ha="left")
    words(axes, 12, 522, "the next timestep", colour=style.GREEN, ha="left")

    box(axes, 254, 522, 220, 38, EXPLICIT, "$f_{post}$: explicit blocks, once")
    arrow(axes, (372, 560), (372, 586))
    box(axes, 254, 586, 220, 34, ONCE, "scheduler step")
    line(axes, [(474, 603), (486, 603), (486, 72), (330, 72)], style.INK)
    arrow(axes, (340, 72), (322, 72))
    words(axes, 440, 60, "$x_{t-1}$", size=12)


def training(axes: Axes) -> None:
    """What runs with gradient and what without."""
    line(axes, [(18, 642), (482, 642)], style.RULE)
    words(axes, 18, 668, "Training: each step", size=12, weight="bold", ha="left")
    pill(axes, 158, 690, 152, "GradientEstimator")
    line(axes, [(170, 752), (170, 736), (298, 736), (298, 752)], style.ORANGE)
    line(axes, [(234, 722), (234, 736)], style.ORANGE)
    words(axes, 20, 776, "$x_t$", size=13)
    box(axes, 44, 752, 56, 48, EXPLICIT, "$f_{pre}$")
    box(axes, 118, 752, 104, 48, "white", dashed=True)
    words(axes, 170, 767, "$n$ iterations", colour=style.SOFT)
    words(axes, 170, 786, "no gradient", colour=style.SOFT)
    box(axes, 244, 752, 108, 48, IMPLICIT, edge=style.BLUE)
    words(axes, 298, 767, "$m$ iterations")
    words(axes, 298, 786, "with gradient")
    box(axes, 374, 752, 56, 48, EXPLICIT, "$f_{post}$")
    words(axes, 468, 776, "loss")
    for start, end in ((30, 44), (100, 118), (222, 244), (352, 374), (430, 450)):
        arrow(axes, (start, 776), (end, 776))
    line(axes, [(468, 788), (468, 828), (72, 828)], RED)
    for x in (72, 298, 402):
        arrow(axes, (x, 828), (x, 800), RED)
    words(axes, 250, 846, "gradient: $f_{post}$, the $m$ iterations, and $f_{pre}$", colour=RED)
    words(axes, 250, 865, "through the injection into each of them", colour=RED)


def legend(axes: Axes) -> None:
    """What the colour of an interface means."""
    box(axes, 300, 21, 30, 18, PLUGIN, edge=style.ORANGE, radius=8)
    words(axes, 338, 30, "answered by a plugin", ha="left")


def box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    colour: str,
    text: str = "",
    *,
    edge: str = style.SOFT,
    dashed: bool = False,
    radius: float = 7,
) -> None:
    """A rounded box with its text in the middle."""
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={radius}",
            facecolor=colour,
            edgecolor=edge,
            linewidth=1.2,
            linestyle="--" if dashed else "-",
        )
    )
    words(axes, x + width / 2, y + height / 2, text)


def pill(axes: Axes, x: float, y: float, width: float, text: str) -> None:
    """An interface, where it plugs in."""
    box(axes, x, y, width, 32, PLUGIN, edge=style.ORANGE, radius=15)
    words(axes, x + width / 2, y + 16, text, size=9.5, weight="bold")


def words(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 10,
    weight: str = "normal",
    ha: str = "center",
    colour: str = style.INK,
) -> None:
    """Text, centred in height."""
    axes.text(x, y, text, fontsize=size, fontweight=weight, ha=ha, va="center", color=colour)


def arrow(
    axes: Axes, start: Point, end: Point, colour: str = style.INK, *, dashed: bool = False
) -> None:
    """A straight arrow."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=12,
            shrinkA=0,
            shrinkB=0,
            color=colour,
            zorder=3,
            linewidth=1.5,
            linestyle=(0, (3, 2)) if dashed else "-",
        )
    )


def line(axes: Axes, points: Sequence[Point], colour: str, *, dashed: bool = False) -> None:
    """A path of straight lines."""
    xs, ys = zip(*points, strict=True)
    dashes = (0, (3, 2)) if dashed else "-"
    axes.plot(xs, ys, color=colour, linewidth=1.5, linestyle=dashes, zorder=3)


if __name__ == "__main__":
    style.main("architecture", draw=draw)
