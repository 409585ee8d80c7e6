"""What a comparison found: means over the seeds, and the best way to spend each budget."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from attrs import frozen

from fpdm.comparing.config import BUDGET, CACHE, Cell
from fpdm.comparing.running import Result

FRECHET = "frechet"


@frozen
class Row:
    """A cell over all seeds.

    Attributes:
        cell: what was drawn.
        figures: the mean over the seeds, by the name of features, and of a figure.
        spread: maximum minus minimum over the seeds, likewise.
        passes: block passes of a sample.
        multiply_adds: of a sample.
        seconds: for `num` samples, the median over the seeds that were drawn alone.
        num: samples of each seed.
        steps: timesteps.
        seeds: how many.
        device: where it ran.
        threads: of the CPU.
    """

    cell: Cell
    figures: Mapping[str, Mapping[str, float]]
    spread: Mapping[str, Mapping[str, float]]
    passes: int
    multiply_adds: int
    seconds: float
    num: int
    steps: int
    seeds: int
    device: str
    threads: int

    @property
    def budget(self) -> int:
        """Block passes that were asked for."""
        return int(self.cell.settings[BUDGET])

    def plain(self) -> dict[str, Any]:
        """The row as one table of plain values."""
        found: dict[str, Any] = {"network": self.cell.network, **self.cell.settings}
        for name in ("passes", "multiply_adds", "steps", "num", "seeds", "device", "threads"):
            found[name] = getattr(self, name)
        found["seconds"] = round(self.seconds, 3)
        for features, figures in self.figures.items():
            for figure, value in figures.items():
                found[f"{features} {figure}"] = round(value, 5)
                found[f"{features} {figure} spread"] = round(self.spread[features][figure], 5)
        return found


def rows(results: Iterable[Result]) -> list[Row]:
    """Bring the seeds of each cell together.

    Args:
        results: of all cells and seeds, those of one cell in any order.

    Returns:
        A row for each cell, in the order in which they come first.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.cell.label, []).append(result)
    return [_row(group) for group in groups.values()]


def budgets(found: Sequence[Row]) -> list[int]:
    """What was asked for of networks that compute all of it: where tables compare.

    Args:
        found: of a comparison.
    """
    whole = [row for row in found if CACHE not in row.cell.settings] or found
    return sorted({row.budget for row in whole})


def best(found: Sequence[Row], features: str) -> dict[tuple[str, int], Row]:
    """The best cell of each network within each budget; it may cost less.

    Args:
        found: of a comparison.
        features: by which.

    Returns:
        Rows by network and budget.
    """
    chosen: dict[tuple[str, int], Row] = {}
    for budget in budgets(found):
        for row in found:
            key = row.cell.network, budget
            if row.passes <= budget and (
                key not in chosen or _distance(row, features) < _distance(chosen[key], features)
            ):
                chosen[key] = row
    return chosen


def frontier(found: Sequence[Row], network: str, features: str, cost: str) -> list[Row]:
    """The cells of a network that nothing cheaper beats, from the cheapest on.

    Args:
        found: of a comparison.
        network: whose.
        features: by which distance.
        cost: `passes`, `multiply_adds` or `seconds`.

    Returns:
        Rows whose cost rises and whose distance falls.
    """
    chosen: list[Row] = []
    own = [row for row in found if row.cell.network == network]
    for row in sorted(own, key=lambda row: (getattr(row, cost), _distance(row, features))):
        if not chosen or _distance(row, features) < _distance(chosen[-1], features):
            chosen.append(row)
    return chosen


def to_ways(found: Sequence[Row], features: str) -> str:
    """Every way of every network, a line for each, with the distance at each budget.

    Args:
        found: of a comparison; one row at least.
        features: by which distance.

    Returns:
        Markdown.
    """
    columns = sorted({row.budget for row in found})
    lines: dict[tuple[str, str], dict[int, Row]] = {}
    for row in found:
        lines.setdefault((row.cell.network, row.cell.ways), {})[row.budget] = row
    head = f"| network | way | {' | '.join(f'{budget} passes' for budget in columns)} |"
    table = [head, "|---" * (len(columns) + 2) + "|"]
    for (network, ways), own in lines.items():
        cells = [_cell(own.get(budget), features) for budget in columns]
        table.append(f"| {network} | {ways} | {' | '.join(cells)} |")
    return "\n".join([*table, "", f"{_caption(found, features)}"]) + "\n"


def to_csv(found: Sequence[Row]) -> str:
    """All cells, one line for each.

    Args:
        found: of a comparison.

    Returns:
        The text of a file.
    """
    tables = [row.plain() for row in found]
    columns = list(dict.fromkeys(name for table in tables for name in table))
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for table in tables:
        writer.writerow({k: json.dumps(v) if isinstance(v, dict) else v for k, v in table.items()})
    return written.getvalue()


def to_markdown(found: Sequence[Row]) -> str:
    """For each of the features, what each network comes to at each budget at its best.

    Args:
        found: of a comparison; one row at least.

    Returns:
        Markdown.
    """
    names = list(dict.fromkeys(row.cell.network for row in found))
    parts = []
    for features in found[0].figures:
        chosen = best(found, features)
        head = f"| passes | {' | '.join(names)} | ahead |"
        lines = [head, "|---" * (len(names) + 2) + "|"]
        for budget in budgets(found):
            own = {name: chosen.get((name, budget)) for name in names}
            cells = [_cell(row, features) for row in own.values()]
            lines.append(f"| {budget} | {' | '.join(cells)} | {_least(own, features)} |")
        ways = [
            f"| {network} | {budget} | {row.cell.ways} | {row.passes} | {row.steps} "
            f"| {row.multiply_adds / 1e6:.1f} | {1000 * row.seconds / row.num:.2f} |"
            for (network, budget), row in sorted(chosen.items(), key=lambda item: item[0][::-1])
        ]
        ways_head = (
            "| network | within | best way | passes | timesteps | 10⁶ multiply-adds | ms a sample |"
        )
        parts += [
            f"{_caption(found, features)} Each network at its best.",
            "\n".join(lines),
            "\n".join([ways_head, "|---" * 7 + "|", *ways]),
        ]
    return "\n\n".join(parts) + "\n"


def _caption(found: Sequence[Row], features: str) -> str:
    first = found[0]
    threads = f"{first.threads} thread{'s' * (first.threads > 1)}"
    return (
        f"Fréchet distance, {features}: mean over {first.seeds} seeds of {first.num} samples, "
        f"their range in brackets. Drawn on {first.device}, {threads}."
    )


def _least(own: Mapping[str, Row | None], features: str) -> str:
    """The network that is ahead by more than the ranges of the seeds; `=` if none is."""
    there = sorted(
        (row for row in own.values() if row is not None), key=lambda row: _distance(row, features)
    )
    if len(there) < 2:
        return there[0].cell.network if there else ""
    first, second = there[:2]
    apart = _distance(second, features) - _distance(first, features)
    chance = max(row.spread[features][FRECHET] for row in (first, second))
    return first.cell.network if apart > chance else "="


def _cell(row: Row | None, features: str) -> str:
    if row is None:
        return ""
    return f"{_distance(row, features):.3f} ({row.spread[features][FRECHET]:.3f})"


def _distance(row: Row, features: str) -> float:
    return row.figures[features][FRECHET]


def _row(group: Sequence[Result]) -> Row:
    first = group[0]
    every = {
        features: {figure: [r.figures[features][figure] for r in group] for figure in figures}
        for features, figures in first.figures.items()
    }
    alone = [result for result in group if result.alone] or group
    seconds = sorted(result.seconds for result in alone)
    return Row(
        first.cell,
        {k: {name: mean(values) for name, values in v.items()} for k, v in every.items()},
        {k: {name: max(each) - min(each) for name, each in v.items()} for k, v in every.items()},
        passes=first.passes,
        multiply_adds=first.multiply_adds,
        seconds=seconds[len(seconds) // 2],
        num=first.num,
        steps=first.steps,
        seeds=len(group),
        device=first.device,
        threads=first.threads,
    )
