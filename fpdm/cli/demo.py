"""`fpdm demo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fpdm.checks import check_whole
from fpdm.cli import console, progress
from fpdm.cli.components import Whole
from fpdm.cli.files import Place, check_picture, load_pipeline, write_picture
from fpdm.cli.summary import RUN_COLUMNS, run_summary

if TYPE_CHECKING:
    from fpdm.drawing.gallery import Row

BUDGETS = (24, 60, 120)
SHOWN = 20
FEWEST = 100  # for the Fréchet distance over 64 pixels
EXAMPLES = ("fpdm demo", "fpdm demo --num 2000 --out demo.png")


@frozen
class Setting:
    """A way to spend a budget.

    Attributes:
        label: what its row is called.
        iterations: at each timestep.
        init: where solves start.
    """

    label: str
    iterations: int
    init: str


SETTINGS = (
    Setting("plain", iterations=10, init="features"),
    Setting("reuse", iterations=10, init="reuse"),
    Setting("smoothing", iterations=2, init="features"),
    Setting("both", iterations=2, init="reuse"),
)


def demo(*, num: Whole = 500, seed: Whole = 0, out: Place = Path("demo.png")) -> None:
    """Draw digits with the model of the package at three budgets, each spent in four ways.

    *plain* gives every timestep ten iterations. *smoothing* gives it two, and visits more
    timesteps for the same budget. *reuse* starts each solve from the last solution.

    The table shows what each way spent and what it bought: the mean residual at the end of a
    solve, the share of samples that a classifier of digits reads as the class asked for, and the
    Fréchet distance to the real digits in pixel space, where lower is better.

    Args:
        num: samples for each row of the table, 100 or more.
        seed: of the noise, the same for every row.
        out: the picture to write, a PNG: twenty samples for each row.
    """
    check_picture(out)
    check_whole("num", num, minimum=FEWEST)
    check_whole("seed", seed, minimum=0, maximum=2**63 - 1)

    from fpdm.drawing.gallery import gallery

    judge = Judge(load_pipeline(None), num, seed)
    ways = [(budget, setting) for budget in BUDGETS for setting in SETTINGS]
    with progress.bar(total=len(ways), unit="row") as bar:
        lines = []
        for budget, setting in ways:
            bar.set_description_str(f"{budget} passes, {setting.label}", refresh=False)
            lines.append(judge.draw(budget, setting))
            bar.update()
    title = (
        "One fixed point diffusion model, each budget spent in four ways (timesteps x iterations)"
    )
    write_picture(gallery([line.row for line in lines], title=title), out)
    console.table(
        f"{num} digits for each row",
        ("setting", *RUN_COLUMNS, "read as\nasked", "Fréchet"),
        [line.cells for line in lines],
    )
    console.say(f"Wrote the samples to {out}.")
    if any(line.broken for line in lines):
        sys.exit(1)


@frozen(eq=False)
class Line:
    """What one way to spend a budget made.

    Attributes:
        cells: of the table.
        row: of the picture.
        broken: how many samples are not finite, of which the figures say nothing.
    """

    cells: tuple[str, ...]
    row: Row
    broken: int


class Judge:
    """Draws the same noise in different ways, and judges what comes out.

    Args:
        pipe: of the digits.
        num: samples for each way.
        seed: of the noise.
    """

    def __init__(self, pipe: Any, num: int, seed: int) -> None:
        import torch

        from fpdm.data import digits
        from fpdm.evaluation import DigitClassifier

        pipe.set_progress_bar_config(disable=True)  # it counts timesteps
        self.pipe, self.seed = pipe, seed
        self.real = digits().images.flatten(1)
        self.classifier = DigitClassifier()
        self.labels = torch.arange(num) % 10

    def draw(self, budget: int, setting: Setting) -> Line:
        """Spend a budget in one way.

        Args:
            budget: block passes.
            setting: the way.

        Returns:
            Its line.
        """
        import torch

        from fpdm.drawing.gallery import Row

        explicit = self.pipe.model.pre_passes + self.pipe.model.post_passes
        began = time.perf_counter()
        result = self.pipe(
            self.labels,
            budget=budget,
            num_inference_steps=budget // (explicit + setting.iterations),
            init=setting.init,
            generator=torch.Generator().manual_seed(self.seed),
            output_type="pt",
        )
        seconds = time.perf_counter() - began
        images, broken = result.images * 2 - 1, set(result.broken)
        whole = torch.tensor([i for i in range(len(images)) if i not in broken], dtype=torch.int64)
        shown = self.pipe.image_processor.postprocess(images[:SHOWN].nan_to_num(), "pil")
        row = Row(
            label=f"{setting.label}: {len(result.steps)} x {setting.iterations}",
            images=[None if i in broken else image for i, image in enumerate(shown)],
            heading="" if setting is not SETTINGS[0] else f"{budget} block passes",
        )
        figures = self._figures(images[whole], self.labels[whole])
        return Line(
            (setting.label, *run_summary(result.steps, seconds), *figures), row, len(broken)
        )

    def _figures(self, images: Any, labels: Any) -> tuple[str, str]:
        """Share of the samples that are read as asked, and the Fréchet distance."""
        from fpdm.evaluation import frechet_distance

        if not len(images):
            return "–", "–"
        return (
            f"{self.classifier.accuracy(images, labels):.1%}",
            f"{frechet_distance(images.flatten(1), self.real):.2f}",
        )
