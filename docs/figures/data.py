"""What the figures show: samples are drawn and judged here, and numbers kept as CSV.

A figure that stands on long runs keeps what they gave in `docs/tables/NAME.csv`, rounded, so that
it is drawn again without them, and alike on every machine.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import torch
from attrs import frozen

import fpdm
from fpdm.data import digits
from fpdm.evaluation import DigitClassifier, frechet_distance

TABLES = Path(__file__).parent.parent / "tables"
NUM = 2000
SEEDS = 2
BATCH = 250
NAIVE = {"name": "naive"}
CARRY = {"name": "anderson", "carry": True}


@frozen
class Quality:
    """How far samples are from the real digits: in pixel space, in features, and as they read."""

    pixels: float
    features: float
    read: float


@cache
def pipeline() -> fpdm.FPDMPipeline:
    """The digits of the package, silent, on one thread; with DDIM, the plainest scheduler."""
    torch.set_num_threads(1)
    pipe = fpdm.FPDMPipeline.digits().to("cuda" if torch.cuda.is_available() else "cpu")
    pipe.scheduler = fpdm.EvenDDIMScheduler()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@cache
def _yardstick() -> tuple[DigitClassifier, torch.Tensor]:
    return DigitClassifier(), digits().images


def quality(*, seed: int, num: int = NUM, **call: object) -> Quality:
    """Draw `num` digits, as many of each class, and judge them; `call` goes to the pipeline."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 10
    drawn = [
        pipeline()(some, generator=generator, output_type="pt", **call).images.cpu()
        for some in labels.split(BATCH)
    ]
    images = torch.cat(drawn) * 2 - 1
    classifier, real = _yardstick()
    return Quality(
        pixels=frechet_distance(images.flatten(1), real.flatten(1)),
        features=frechet_distance(classifier.features(images), classifier.features(real)),
        read=classifier.accuracy(images, labels),
    )


def write(name: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Write `docs/tables/NAME.csv`, row by row as they come; floats with four digits."""
    with (TABLES / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, fieldnames=list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow({key: _rounded(value) for key, value in row.items()})
            file.flush()


def read(name: str) -> Iterator[dict[str, str]]:
    """The rows of `docs/tables/NAME.csv`."""
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _rounded(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
