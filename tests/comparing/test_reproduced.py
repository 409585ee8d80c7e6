"""What the table of schedulers says comes out again, within what its seeds lie apart."""

import re

import pytest

from fpdm.comparing import Comparison, load_comparison, structure
from tests.places import DOCS

TABLE = DOCS / "tables" / "schedulers.md"
WAYS = [("dpm++", "late"), ("ddim", "linear")]


def published(scheduler: str, spacing: str, budget: int) -> tuple[float, float]:
    """The mean in pixel space, and the range of the seeds."""
    pixels = TABLE.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    column = pixels[0].split(" | ").index(f"{budget} passes")
    (row,) = [line for line in pixels if f"scheduler={scheduler} spacing={spacing} " in line]
    return tuple(float(each) for each in re.findall(r"[\d.]+", row.split(" | ")[column]))


@pytest.mark.parametrize(("scheduler", "spacing"), WAYS)
def test_a_cell_of_the_table_comes_out_again(scheduler, spacing, tmp_path):
    told = load_comparison("schedulers")
    config = structure(
        {
            "networks": {"digits": {"model": "digits"}},
            "grid": [{"budget": 24, "scheduler": scheduler, "spacing": spacing}],
            "num": told.num,
            "seeds": [told.seeds[0]],
            "batch_size": told.batch_size,
        }
    )
    (found,) = Comparison(config, tmp_path)
    mean, apart = published(scheduler, spacing, budget=24)
    assert abs(found.figures["pixels"]["frechet"] - mean) <= apart
