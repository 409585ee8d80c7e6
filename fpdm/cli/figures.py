"""What was measured, as a table and as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpdm.cli import console

if TYPE_CHECKING:
    from fpdm.evaluation import Evaluation

TITLES = {
    "frechet": "Fréchet distance",
    "frechet_at_infinity": "… of infinitely many",
    "kernel": "kernel distance (KID)",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "read as their class",
}
SHARES = ("precision", "recall", "accuracy")


def print_evaluations(found: Sequence[Evaluation], reference: str) -> None:
    """Print a table: of one set its figures and intervals, of several also mean and spread.

    Args:
        found: one for each set of samples.
        reference: what they were compared with.
    """
    first = found[0]
    against = "" if first.reference is None else f" ({first.reference})"
    counts = sorted({each.samples for each in found})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    console.say(f"{number} samples against {reference}{against}, by {first.features}")
    if len(found) == 1:
        level = f"{first.settings.level:.0%} interval"
        console.table("", ("measure", "figure", level), _alone(first))
    else:
        names = [str(each.facts["source"]) for each in found]
        console.table("", ("measure", *names, "mean", "± between them"), _several(found))
    held_out = first.facts.get("held_out")
    if held_out is not None:
        console.say(f"Of real images that it was not trained on, it reads {held_out:.1%} right.")


def write_evaluations(found: Sequence[Evaluation], out: Path) -> None:
    """Write all figures as JSON: `evaluations`, and `spread` where there are several.

    Args:
        found: one for each set of samples.
        out: the file, which may be there.

    Raises:
        StorageError: it cannot be written.
    """
    from attrs import asdict

    from fpdm.evaluation import spread
    from fpdm.runtime.storage import written_file

    between = spread(found) if len(found) > 1 else {}
    tree = {
        "evaluations": [each.to_json() for each in found],
        "spread": {name: asdict(each) for name, each in between.items()},
    }
    with written_file(out) as beside:
        text = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)
        beside.write_text(f"{text}\n", encoding="utf-8")


def _alone(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    for name in TITLES:
        value = getattr(evaluation, name)
        if value is not None:
            found = evaluation.intervals.get(name)
            interval = "" if found is None else f"{_number(found.low)} to {_number(found.high)}"
            yield TITLES[name], _figure(name, value), interval


def _several(found: Sequence[Evaluation]) -> Iterator[tuple[str, ...]]:
    from fpdm.evaluation import spread

    for name, over in spread(found).items():
        each = [_figure(name, getattr(evaluation, name)) for evaluation in found]
        yield TITLES[name], *each, _figure(name, over.mean), _figure(name, over.deviation)


def _figure(name: str, value: float) -> str:
    return f"{value:.1%}" if name in SHARES else _number(value)


def _number(value: float) -> str:
    """Four significant digits, and as few as needed for what is near 0."""
    return f"{value:.4g}"
