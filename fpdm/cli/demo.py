"""`fpdm demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from attrs import frozen

from fpdm.checks import check_whole
from fpdm.cli import console
from fpdm.cli.components import Whole
from fpdm.cli.files import check_picture, load_pipeline, write_picture
from fpdm.cli.sample import RUN_COLUMNS, run_summary

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


def demo(*, num: Whole = 500, seed: Whole = 0, out: Path = Path("demo.png")) -> None:
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
    from fpdm.data import digits
    from fpdm.drawing.gallery import Row, gallery
    from fpdm.evaluation import DigitClassifier, frechet_distance

    check_picture(out)
    check_whole("num", num, minimum=FEWEST)
    check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
    pipe = load_pipeline(None)
    real = digits().images.flatten(1)
    classifier = DigitClassifier()
    explicit = pipe.model.pre_passes + pipe.model.post_passes
    labels = torch.arange(num) % 10

    table: list[tuple[str, ...]] = []
    rows: list[Row] = []
    for budget in BUDGETS:
        for setting in SETTINGS:
            pipe.set_progress_bar_config(desc=f"{budget} passes, {setting.label}", leave=False)
            began = time.perf_counter()
            result: Any = pipe(
                labels,
                budget=budget,
                num_inference_steps=budget // (explicit + setting.iterations),
                init=setting.init,
                generator=torch.Generator().manual_seed(seed),
                output_type="pt",
            )
            seconds = time.perf_counter() - began
            images = result.images * 2 - 1
            table.append(
                (
                    setting.label,
                    *run_summary(result.steps, seconds),
                    f"{classifier.accuracy(images, labels):.1%}",
                    f"{frechet_distance(images.flatten(1), real):.2f}",
                )
            )
            rows.append(
                Row(
                    label=f"{setting.label}: {len(result.steps)} x {setting.iterations}",
                    images=pipe.image_processor.postprocess(images[:SHOWN], "pil"),
                    heading="" if setting is not SETTINGS[0] else f"{budget} block passes",
                )
            )
    title = (
        "One fixed point diffusion model, each budget spent in four ways (timesteps x iterations)"
    )
    write_picture(gallery(rows, title=title), out)
    console.table(
        f"{num} digits for each row",
        ("setting", *RUN_COLUMNS, "read as\nasked", "Fréchet"),
        table,
    )
    console.say(f"Wrote the samples to {out}.")
