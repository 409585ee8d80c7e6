"""Schedulers and spacings of timesteps on the digits, as a Markdown table.

    python tests/benchmarks/spacings.py [FOLDER]

Writes `docs/tables/schedulers.md` from `fpdm compare schedulers`, which it runs in the folder; what
has been drawn there is not drawn again. About 25 minutes on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tables import DEVICE, TABLES

from fpdm.comparing import Comparison, Result, load_comparison, rows
from fpdm.comparing.report import to_ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/compare-schedulers"))
    comparison = Comparison(
        load_comparison("schedulers"), parser.parse_args().folder, device=DEVICE
    )
    found = rows(made for made in comparison if isinstance(made, Result))
    tables = [to_ways(found, features) for features in comparison.config.features]
    (TABLES / "schedulers.md").write_text("\n".join(tables), encoding="utf-8")
    print("\n".join(tables))


if __name__ == "__main__":
    main()
