"""What a comparison leaves in its folder: a table, a report and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fpdm.comparing.pictures import draw_curves, draw_samples
from fpdm.comparing.report import FRECHET, Row, best, to_csv, to_markdown, to_ways
from fpdm.comparing.running import Comparison
from fpdm.runtime.plotting import can_plot
from fpdm.runtime.storage import written_file

TABLE, REPORT, PLAIN = "cells.csv", "report.md", "cells.json"


def write_report(comparison: Comparison, found: Sequence[Row]) -> list[Path]:
    """Write `cells.csv`, `cells.json`, `report.md`, tables of all ways, and figures.

    Args:
        comparison: whose folder it goes to.
        found: what was drawn in it; one row at least.

    Returns:
        The files.

    Raises:
        StorageError: a file cannot be written.
    """
    folder = comparison.folder
    texts = {
        TABLE: to_csv(found),
        PLAIN: json.dumps([row.plain() for row in found], indent=1) + "\n",
        REPORT: to_markdown(found),
        **{f"ways-{name}.md": to_ways(found, name) for name in found[0].figures},
    }
    paths = []
    for name, text in texts.items():
        with written_file(folder / name) as beside:
            beside.write_text(text, encoding="utf-8")
        paths.append(folder / name)
    if can_plot():
        for features in found[0].figures:
            paths.append(folder / f"quality-{features}.png")
            draw_curves(found, features, paths[-1])
    if comparison.data.shape.is_picture:
        for name, groups in (("passes", _by_passes(found)), ("seconds", _by_seconds(found))):
            shown = [row for group in groups.values() for row in group]
            if shown:
                samples = {row.cell.label: comparison.shown(row.cell) for row in shown}
                paths.append(folder / f"samples-{name}.png")
                draw_samples(groups, samples, paths[-1])
    return paths


def _by_passes(found: Sequence[Row]) -> dict[str, list[Row]]:
    """The best cell of each network at each budget."""
    chosen = best(found, next(iter(found[0].figures)))
    groups: dict[str, list[Row]] = {}
    for (_, budget), row in sorted(chosen.items(), key=lambda item: (item[0][1], item[0][0])):
        groups.setdefault(f"{budget} block passes", []).append(row)
    return groups


def _by_seconds(found: Sequence[Row]) -> dict[str, list[Row]]:
    """The best cell of each network that takes no longer than the best ones of all budgets do."""
    features = next(iter(found[0].figures))
    names = list(dict.fromkeys(row.cell.network for row in found))
    least = max(min(r.seconds for r in found if r.cell.network == name) for name in names)
    groups: dict[str, list[Row]] = {}
    for factor in (1, 2, 4):
        within = [row for row in found if row.seconds <= least * factor * 1.02]
        group = []
        for name in names:
            own = [row for row in within if row.cell.network == name]
            if own:
                group.append(min(own, key=lambda row: row.figures[features][FRECHET]))
        groups[f"{least * factor:.2g} s for {found[0].num} samples"] = group
    return groups
