"""Markdown tables, written to `docs/tables` as they are measured."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Where samples are drawn: what they are does not depend on it."""

TABLES = Path(__file__).parent.parent.parent / "docs" / "tables"


def row(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def head(*cells: object) -> Iterator[str]:
    yield row(*cells)
    yield row(*["---"] * len(cells))


def machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    threads = torch.get_num_threads()
    named_threads = "1 thread" if threads == 1 else f"{threads} threads"
    return f"{model}, {named_threads}, torch {torch.__version__}."


def write_parts(
    subject: str, parts: Mapping[str, Callable[[], Iterator[str]]], *, said: str | None
) -> None:
    """Write the parts named on the command line, or all, to `docs/tables/SUBJECT-PART.md`.

    Args:
        subject: what the tables are about.
        parts: the lines of each table, printed as they come.
        said: what `--help` says.
    """
    parser = argparse.ArgumentParser(
        description=said, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    given = parser.parse_args()
    unknown = set(given.parts) - set(parts)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    TABLES.mkdir(exist_ok=True)
    for name in given.parts or parts:
        lines = []
        for line in parts[name]():
            print(line, flush=True)
            lines.append(line)
        (TABLES / f"{subject}-{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
