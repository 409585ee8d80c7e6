"""`fpdm compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from fpdm.cli import console, progress
from fpdm.cli.devices import check_device
from fpdm.cli.files import Place

if TYPE_CHECKING:
    from fpdm.comparing import Comparison, Failure, Result, Row

EXAMPLES = (
    "fpdm compare digits --out runs/compare",
    "fpdm compare mine.toml --device cuda --jobs 8",
)


def compare(
    config: str = "digits",
    /,
    *,
    out: Place | None = None,
    device: str | None = None,
    jobs: int = 1,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Compare networks and ways to spend a budget: quality against passes, work and seconds.

    Networks are trained or loaded, and every combination of settings that the configuration names
    draws the same noises. The folder gets `cells.csv`, `cells.json`, `report.md`, curves and
    samples. The same command goes on where it was interrupted: a cell that has been drawn is not
    drawn again. Cells that fail are named, and the exit code is then 1.

    Seconds are of this machine, of everything that a run does; let nothing run beside it. With
    `--jobs`, the first seed of each cell is drawn alone for their sake, the others side by side.

    Args:
        config: a TOML file, or the name of a comparison that comes with the package.
        out: where to; `runs/compare-NAME` if not given.
        device: where to draw, such as `cpu` or `cuda`; the accelerator that PyTorch finds, or else
            the CPU, if not given.
        jobs: processes that draw side by side: as many as the device or the machine keeps busy.
        dry_run: list the cells, and do nothing else.
    """
    from fpdm.comparing.config import load_comparison

    resolved = load_comparison(config)
    if dry_run:
        for cell in resolved.cells():
            console.say(cell.label)
        return
    from fpdm.comparing import Comparison, rows
    from fpdm.comparing.written import write_report
    from fpdm.runtime.plotting import can_plot
    from fpdm.runtime.processes import processes

    place = processes().device if device is None else check_device(device)
    folder = Path("runs") / f"compare-{Path(config).stem}" if out is None else out
    comparison = Comparison(resolved, folder, device=place, jobs=jobs)
    results, failures = _follow(comparison)
    for failure in failures:
        console.warn(f"{failure.cell.label}, seed {failure.seed}: {failure.message}")
    if results:
        found = rows(results)
        paths = write_report(comparison, found)
        for features in comparison.config.features:
            _show(found, features)
        if not can_plot():
            console.note("there are no curves: they need matplotlib, of the extra `plot`.")
        console.say(f"Wrote {', '.join(path.name for path in paths)} to {folder}.")
    if failures or not results:
        sys.exit(1)


def _follow(comparison: Comparison) -> tuple[list[Result], list[Failure]]:
    """Go through a comparison under a bar for each training, and one for all cells."""
    from fpdm.comparing import Failure, Result

    results: list[Result] = []
    failures: list[Failure] = []
    bars: dict[str, Any] = {}
    for made in comparison:
        if isinstance(made, Result | Failure):
            (results if isinstance(made, Result) else failures).append(made)  # type: ignore[arg-type]
            if "cells" not in bars:
                bars["cells"] = progress.bar(total=len(comparison), desc="cells", unit="cell")
            bars["cells"].set_postfix_str(made.cell.label, refresh=False)
            bars["cells"].update()
            continue
        if made.network not in bars:
            bars[made.network] = progress.bar(
                total=made.steps, initial=made.step - 1, desc=made.network, unit="step"
            )
        bars[made.network].update()
    for bar in bars.values():
        bar.close()
    return results, failures


def _show(found: list[Row], features: str) -> None:
    """Print what each network comes to at each budget at its best."""
    from fpdm.comparing import best

    chosen = sorted(best(found, features).items(), key=lambda item: (item[0][1], item[0][0]))
    console.table(
        f"Fréchet distance, {features}: each network at its best",
        ("network", "passes", "distance", "spread", "seconds", "way"),
        [_line(row, features) for _, row in chosen],
    )


def _line(row: Row, features: str) -> tuple[str, ...]:
    return (
        row.cell.network,
        str(row.budget),
        f"{row.figures[features]['frechet']:.3f}",
        f"{row.spread[features]['frechet']:.3f}",
        f"{row.seconds:.2f}",
        row.cell.ways,
    )
