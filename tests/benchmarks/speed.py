"""What a timestep costs beyond its blocks: times, operations, memory, and what they should be.

    python tests/benchmarks/speed.py [--device cuda|cpu] [--size XL/2] [--quick] [--before FILE]
    OMP_NUM_THREADS=1 python tests/benchmarks/speed.py --quick --clock cpu

The tables go to `speed-DEVICE.md` in `--out`, and all figures to `speed-DEVICE.json` beside it.
Times are medians of interleaved runs, and mean something on a quiet machine only. `--before` takes
the figures of an earlier run, and sets them beside these.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from attrs import evolve

sys.path.insert(0, str(Path(__file__).parents[2]))

from diffusers.utils import logging

from tests.benchmarks.costs import closeness, counting, growing, pipelines, solving, targets
from tests.benchmarks.costs.figures import Figure, Report, table
from tests.benchmarks.costs.settings import Settings
from tests.benchmarks.costs.timing import CLOCKS
from tests.benchmarks.tables import TABLES

Section = Callable[[Settings], Iterator[Figure]]

SECTIONS: dict[str, Section] = {
    pipelines.SECTION: pipelines.pipelines,
    solving.SECTION: solving.solvers,
    counting.EVALUATION: counting.operations_of_solvers,
    counting.TIMESTEP: counting.operations_of_timesteps,
    counting.GRAPHS: counting.graphs,
    closeness.SECTION: closeness.deviation,
    growing.TIME: growing.times,
    growing.MEMORY: growing.memory,
}
TITLES = {
    pipelines.SECTION: "The pipeline beside the straight loop of the same calls",
    solving.SECTION: "Solvers beyond the evaluations of f",
    counting.EVALUATION: "Operations of a solver beyond f",
    counting.TIMESTEP: "Operations of a timestep beyond the straight forward pass",
    counting.GRAPHS: "Graphs and breaks of what is compiled",
    closeness.SECTION: "Deviation from float32",
    growing.TIME: "Time against budget",
    growing.MEMORY: "Peak memory of a run, the network's weights left out",
}


CLOCK = "cpu: seconds of the process alone, for a machine that others use too; with one thread"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cuda", "cpu"), default=best)
    parser.add_argument("--size", help="a preset in the place of those of the device")
    parser.add_argument("--quick", action="store_true", help="shorter runs, and fewer of them")
    parser.add_argument("--only", choices=tuple(SECTIONS), nargs="+", default=list(SECTIONS))
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help=CLOCK)
    parser.add_argument("--before", type=Path, help="figures of an earlier run, as JSON")
    parser.add_argument("--out", type=Path, default=TABLES, help="a folder")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a check fails")
    given = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # a copy in 16 bits is what is asked for
    if given.device == "cuda" and given.clock != "wall":
        parser.error("--clock cpu: does not see what a GPU does; use --device cpu")
    settings = evolve(
        Settings.of(device=given.device, size=given.size, quick=given.quick), clock=given.clock
    )
    report = measure(settings, given.out, given.only)
    before = Report.read(given.before) if given.before else None
    write(report, given.out, before)
    return int(given.strict and any(each.ok is False for each in targets.judge(report)))


def measure(settings: Settings, folder: Path, only: Iterable[str] = tuple(SECTIONS)) -> Report:
    """Measure every section, and keep in the folder what there is of it at any time."""
    start = time.perf_counter()
    report = Report(settings.described(), ())
    for figure in figures(settings, only, start):
        seconds = {"seconds": round(time.perf_counter() - start)}
        report = evolve(report, setting=report.setting | seconds, figures=(*report.figures, figure))
        keep(report, folder)
    return report


def figures(settings: Settings, only: Iterable[str], start: float) -> Iterator[Figure]:
    """What sections measure; after each, say how long it has been."""
    for name in only:
        try:
            yield from SECTIONS[name](settings)
        except Exception as error:  # the others are worth having all the same
            traceback.print_exc(file=sys.stderr)
            yield Figure(name, "all", "", note=f"{type(error).__name__}: {error}")
        print(f"{time.perf_counter() - start:4.0f} s  {name}", file=sys.stderr, flush=True)


def keep(report: Report, folder: Path) -> Path:
    """Write the figures, and say where; the tables stand beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"speed-{report.setting['device']}.json"
    report.write(path)
    return path


def write(report: Report, folder: Path, before: Report | None = None) -> None:
    """Print the tables, and write them and the figures."""
    lines = list(document(report, before))
    print("\n".join(lines))
    keep(report, folder).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def document(report: Report, before: Report | None = None) -> Iterator[str]:
    """All tables, the checks last."""
    for name, title in TITLES.items():
        if own := [each for each in report.figures if each.section == name]:
            yield from (f"**{title}**", "")
            yield from table(own, before)
            yield ""
    yield from ("**What it should be**", "")
    yield from targets.listed(report, before)
    yield from ("", _on(report, "Measured"))
    if before:
        yield from ("", _on(before, "Before"))


def _on(report: Report, when: str) -> str:
    told = (f"{name} {value}" for name, value in report.setting.items() if name != "device")
    return f"{when} on {report.setting['device']}: {', '.join(told)}."


if __name__ == "__main__":
    sys.exit(main())
