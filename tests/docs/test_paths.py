"""The site, the README and docstrings name public paths.

That is a name of a file directly in `fpdm/`, or one that a room hands on. A room is a folder of
`fpdm/`, and its `__all__` is its door.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks, name
from tests.places import ROOT

SOURCES = sorted(path for folder in ("fpdm", "plugins") for path in (ROOT / folder).rglob("*.py"))
LINK = re.compile(r"\]\[(fpdm\.[\w.]+)\]")
SHOWN = re.compile(r"^::: (fpdm\.[\w.]+)$", re.M)
WRITTEN = re.compile(r"^\s*(?:>>> |\.\.\. )?((?:from|import) fpdm\b.*)$", re.M)
ROOMS = {path.parent.name for path in (ROOT / "fpdm").glob("*/__init__.py")}
MODULES = {
    "fpdm.diffusion.samplers",
    *(f"fpdm.testing.{name}" for name in ("calibrations", "classical", "strategies")),
}
"""Files of rooms that are a front door themselves, and are imported whole."""

LAWS = "fpdm.testing."
"""Laws are shown where they are written: nobody imports one."""


def is_public(path: str) -> bool:
    """Whether a path is a name of `fpdm`, or of a file in it, or handed on by a room."""
    parts = path.split(".")[1:]
    if not parts or parts[0] not in ROOMS:
        return True
    if len(parts) == 1 or any(path == each or path.startswith(f"{each}.") for each in MODULES):
        return True
    room = importlib.import_module(f"fpdm.{parts[0]}")
    if parts[1] not in room.__all__:
        return False
    return len(parts) == 2 or isinstance(getattr(room, parts[1]), type)  # a member of a class


def imported(text: str) -> Iterator[str]:
    """What the import lines of an example name; one over many lines is read by its first."""
    for line in WRITTEN.findall(text):
        found = re.match(r"from (\S+) import (.*)|import (\S+)", line)
        module, names, whole = found.groups()
        if whole or module.split(".")[1:2] in ([], ["hookspecs"]):
            yield whole or module
            continue
        yield module
        listed = [each.split()[0] for each in names.strip("( )").split(",") if each.strip()]
        yield from (f"{module}.{each}" for each in listed)


def docstrings(path: Path) -> str:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, holders)]
    return "\n".join(said)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_public_paths(page):
    text = page.read_text(encoding="utf-8")
    shown = [path for path in SHOWN.findall(text) if not path.startswith(LAWS)]
    examples = "\n".join(block.text for block in blocks(page, "python"))
    named = [*LINK.findall(text), *shown, *imported(examples)]
    assert not [path for path in named if not is_public(path)]


def test_docstrings_name_public_paths():
    for path in SOURCES:
        said = docstrings(path)
        named = [*LINK.findall(said), *imported(said)]
        assert not [each for each in named if not is_public(each)], path


def test_every_room_says_what_it_hands_on():
    for room in ROOMS - {"checkpoints", "cli"}:
        package = importlib.import_module(f"fpdm.{room}")
        for each in package.__all__:
            assert hasattr(package, each), f"fpdm.{room}.{each}"


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("fpdm.solver", True),
        ("fpdm.iteration.IterativeSolver", True),
        ("fpdm.plugins.KINDS", True),
        ("fpdm.plugins.PluginHost.create", True),
        ("fpdm.diffusion.samplers.DIFFUSION", True),
        ("fpdm.plugins.components.KINDS", False),
        ("fpdm.models.fpdit.FixedPointBlock", False),
        ("fpdm.training.config", False),
        ("fpdm.training.reading", False),
    ],
)
def test_a_path_into_a_room_is_noticed(path, public):
    assert is_public(path) == public


def test_what_an_example_imports_is_read():
    text = "import fpdm\nfrom fpdm.training import Run, TrainConfig\n>>> from fpdm.data import (\n"
    assert list(imported(text)) == [
        "fpdm",
        "fpdm.training",
        "fpdm.training.Run",
        "fpdm.training.TrainConfig",
        "fpdm.data",
    ]
