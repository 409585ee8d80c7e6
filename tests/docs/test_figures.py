"""The figures of the site are those that their tables give."""

import re
import subprocess
import sys

import pytest

from tests.places import ROOT

DRAWN = sorted((ROOT / "docs" / "images").glob("*.svg"))
DRAW = """
import sys
from importlib import import_module
from pathlib import Path

out, figures, *names = sys.argv[1:]
sys.path.insert(0, figures)
import style

style.IMAGES = Path(out)
for name in names:
    style.save(import_module(name.replace("-", "_")).draw(), name)
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Images drawn anew, in a process of their own: matplotlib's settings are for all of one."""
    out = tmp_path_factory.mktemp("images")
    command = [sys.executable, "-c", DRAW, out, ROOT / "docs" / "figures"]
    subprocess.run([*map(str, command), *(image.stem for image in DRAWN)], check=True)
    return out


def read(path) -> tuple[str, list[float]]:
    """A drawing without its numbers, and its numbers; names made from these are left out."""
    drawing = re.sub(r"\b[mp][0-9a-f]{10}\b", "name", path.read_text(encoding="utf-8"))
    number = re.compile(r"-?\d+\.\d+")
    return number.sub("number", drawing), [float(each) for each in number.findall(drawing)]


@pytest.mark.parametrize("image", DRAWN, ids=lambda image: image.stem)
def test_a_figure_is_what_its_table_gives(image, drawn):
    (now, numbers), (then, told) = read(drawn / image.name), read(image)
    assert now == then, "run: make figures"
    assert numbers == pytest.approx(told, abs=0.02), "run: make figures"
