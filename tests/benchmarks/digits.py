"""What a budget buys with the digits of the package, as a Markdown table.

    python tests/benchmarks/digits.py [MODEL] [--num 2000] [--seeds 3]

Each cell is the Fréchet distance to the real digits in pixel space, in the features of the
classifier, and the share of samples read as the class asked for: means over the seeds, with the
largest spread (maximum - minimum) of the pixel distance below the table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from drawn import Figures, figures

import fpdm

SETTINGS = {
    "k = 10": {"iterations": 10, "init": "features"},
    "k = 10, reuse": {"iterations": 10, "init": "reuse"},
    "k = 2": {"iterations": 2, "init": "features"},
    "k = 2, reuse": {"iterations": 2, "init": "reuse"},
    "k = 2, extrapolate": {"iterations": 2, "init": "extrapolate"},
    "k = 10, dpm++": {"iterations": 10, "init": "features", "scheduler": "dpm++"},
    "k = 2, reuse, dpm++": {"iterations": 2, "init": "reuse", "scheduler": "dpm++"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=[24, 60, 120])
    given = parser.parse_args()

    load = fpdm.FPDMPipeline.from_pretrained
    pipe = load(given.model) if given.model else fpdm.FPDMPipeline.digits()

    def measure(budget: int, iterations: int, **settings: str) -> Figures:
        steps = budget // (2 + iterations)
        spent = {"budget": budget, "num_inference_steps": steps}
        return figures(pipe, num=given.num, seeds=given.seeds, **spent, **settings)

    print("| block passes |", " | ".join(SETTINGS), "|")
    print("|---|" + "---|" * len(SETTINGS))
    spread = 0.0
    for budget in given.budgets:
        cells = []
        for setting in SETTINGS.values():
            found = measure(budget, **setting)
            spread = max(spread, found.spread.pixels)
            cell = found.mean
            cells.append(f"{cell.pixels:.2f} / {cell.features:.2f} / {cell.read:.1%}")
        print(f"| {budget} |", " | ".join(cells), "|", flush=True)
    print(f"\n{given.num} samples, {given.seeds} seeds; largest spread {spread:.2f} (pixel space).")


if __name__ == "__main__":
    main()
