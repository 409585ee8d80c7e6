"""Figures: what was measured, as values that tables and JSON are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from tests.benchmarks.costs.timing import Spread
from tests.benchmarks.tables import head, row


@frozen
class Figure:
    """One measured number.

    Attributes:
        section: which table it stands in.
        case: on what it was measured.
        what: that was measured there.
        value: the number, a median where there is a spread; None where there is none, and then
            `note` says why.
        unit: of the value.
        low: lower quartile, if it was measured more than once.
        high: upper quartile.
        ratio: over the straight loop of the same calls: the median over the rounds.
        ratio_low: its lower quartile.
        ratio_high: its upper quartile.
        note: what else is to be said.
    """

    section: str
    case: str
    what: str
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.section, self.case, self.what

    @classmethod
    def timed(
        cls,
        section: str,
        case: str,
        what: str,
        *,
        seconds: Sequence[float],
        base: Sequence[float] | None = None,
        note: str = "",
    ) -> Figure:
        """Of the seconds of several rounds, and those of the straight loop in the same rounds."""
        spread = Spread.of([1e3 * each for each in seconds])
        over = base and Spread.of([a / b for a, b in zip(seconds, base, strict=True)])
        return cls(
            section,
            case,
            what,
            value=spread.median,
            unit="ms",
            low=spread.low,
            high=spread.high,
            ratio=over.median if over else None,
            ratio_low=over.low if over else None,
            ratio_high=over.high if over else None,
            note=note,
        )


@frozen
class Report:
    """A whole run: on what, and what came out."""

    setting: dict[str, Any]
    figures: tuple[Figure, ...]

    def find(self, section: str, case: str = "*", what: str = "*") -> list[Figure]:
        """The figures with a value whose names match these patterns."""
        return [
            figure
            for figure in self.figures
            if figure.value is not None
            and figure.section == section
            and fnmatchcase(figure.case, case)
            and fnmatchcase(figure.what, what)
        ]

    def write(self, path: Path) -> None:
        figures = [asdict(each) for each in self.figures]
        text = json.dumps({"setting": self.setting, "figures": figures}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Report:
        read = json.loads(path.read_text(encoding="utf-8"))
        return cls(read["setting"], tuple(Figure(**each) for each in read["figures"]))


def table(figures: Iterable[Figure], before: Report | None = None) -> Iterator[str]:
    """The figures of one section; beside each, what it was before, if anything was."""
    shown = list(figures)
    old = {each.key: each for each in (before.figures if before else ())}
    spread = any(each.low is not None for each in shown)
    compared = any(each.ratio is not None for each in shown)
    columns = ["on", "what", "value"]
    columns += ["quartiles"] * spread + ["over the straight loop"] * compared
    columns += ["before"] * bool(old) + ["before, over the straight loop"] * (bool(old) * compared)
    columns += ["note"] * any(each.note for each in shown)
    yield from head(*columns)
    for each in shown:
        past = old.get(each.key, Figure(*each.key))
        cells: dict[str, str] = {
            "on": each.case,
            "what": each.what,
            "value": f"{number(each.value)} {each.unit}".strip(),
            "quartiles": between(each.low, each.high),
            "over the straight loop": _ratio(each),
            "before": f"{number(past.value)} {past.unit}".strip(),
            "before, over the straight loop": _ratio(past),
            "note": each.note,
        }
        yield row(*(cells[column] for column in columns))


def number(value: float | None) -> str:
    """A number with as many places as mean something; – where there is none."""
    if value is None:
        return "–"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    if abs(value) >= 100 or value == round(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def between(low: float | None, high: float | None) -> str:
    """Quartiles; nothing where there are none."""
    return "" if low is None else f"{number(low)} – {number(high)}"


def _ratio(figure: Figure) -> str:
    if figure.ratio is None:
        return ""
    spread = "" if figure.ratio_low is None else f" ({figure.ratio_low:.2f} – "
    return f"{figure.ratio:.2f}" + (spread and f"{spread}{figure.ratio_high:.2f})")
