"""What `fpdm diagnose` finds out about the digits of the package.

Drawn from `docs/tables/diagnosis.json`; `python docs/figures/diagnosis.py measure` writes that
before.
"""

from __future__ import annotations

import json
import sys

from matplotlib.figure import Figure

import data
import fpdm
import style
from fpdm.diagnosing import Diagnosis, diagnose
from fpdm.diagnosing.pictures import fill

TABLE = data.TABLES / "diagnosis.json"
DIGITS = 3  # of each figure that is kept


def measure() -> None:
    """Write the figures of a run of 60 block passes, of the starts of the run alone."""
    found = diagnose(fpdm.FPDMPipeline.digits(), inits=["reuse"])
    text = json.dumps(rounded(json.loads(found.to_json())))
    Diagnosis.from_json(text).write(TABLE)


def rounded(value: object) -> object:
    """All numbers with a few digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def draw() -> Figure:
    """Solvers first, then what the timesteps are like."""
    figure = style.card(7.2)
    fill(figure, Diagnosis.read(TABLE), columns=2)
    return figure


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        measure()
        sys.argv.pop()
    style.main("diagnosis", draw=draw)
