"""Where things stand, and which way dependencies point.

plugins → interfaces ← core ← models ← pipeline, training ← cli.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
PROMISES = {  # what stands directly in fpdm/ is what users and plugin authors import
    *("__init__", "__main__", "interfaces", "hookspecs", "solution", "errors", "checks", "batch"),
    *("iteration", "counting", "allocator", "layer", "denoiser", "sampling", "tracing", "pipeline"),
    "calibration",
}
FOUNDATION = {
    *("errors", "checks", "batch", "runtime", "solution", "calibration", "interfaces", "counting"),
}
CORE = {*PROMISES - {"__init__", "__main__", "pipeline"}, "plugins", "runtime"}
LIGHT = {  # of rooms that need more, the files that the core may use
    *("fpdm.diffusion.conditions", "fpdm.diffusion.guidance"),
    *("fpdm.diffusion.stepping", "fpdm.diffusion.timestep"),
    "fpdm.data.dataset",
}
ROOMS = {  # where each room may look, beside its own files
    "runtime": {"errors"},
    "plugins": {*FOUNDATION, "hookspecs"},
    "diffusion": FOUNDATION,
    "data": {*FOUNDATION, "diffusion"},
    "models": CORE,
    "compiling": {*CORE, "diffusion"},
    "drawing": {*CORE, "diffusion", "pipeline"},
    "evaluation": {*FOUNDATION, "data"},
    "planning": {*CORE, "diffusion"},
    "testing": {*CORE, "data", "diffusion"},
    "training": {*CORE, "data", "diffusion", "models", "pipeline", "drawing"},
    "comparing": {*CORE, "data", "diffusion", "models", "pipeline", "drawing", "evaluation"}
    | {"training"},
    "diagnosing": {*CORE, "data", "diffusion", "models", "pipeline", "drawing", "training"},
    "checkpoints": set(),
    "cli": {*CORE, "checkpoints", "data", "diffusion", "models", "pipeline", "drawing"}
    | {"comparing", "diagnosing", "evaluation", "planning", "training"},
}
LONGEST = 400
"""Lines of a file that is still about one idea."""

HEAVY = ["accelerate", "diffusers", "hypothesis", "matplotlib", "sklearn", "torchdeq"]


def imports(path: Path) -> list[str]:
    """Every module, or name of a module, that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_the_core_imports_no_plugin():
    for path in files("fpdm"):
        assert not [name for name in imports(path) if name.startswith("fpdm_")], path


@pytest.mark.parametrize("package", PLUGINS)
def test_a_plugin_imports_public_names_and_no_other_plugin(package):
    for path in files(f"plugins/{package}"):
        for name in imports(path):
            top = name.split(".")[0]
            assert top == package or not top.startswith("fpdm_"), path
            assert top != "fpdm" or not any(part.startswith("_") for part in name.split(".")), path


@pytest.mark.parametrize("package", PLUGINS)
def test_a_hooks_module_holds_its_hooks_and_nothing_else(package):
    tree = ast.parse((ROOT / "plugins" / package / "hooks.py").read_text(encoding="utf-8"))
    for node in tree.body[1:]:
        assert isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef))
        assert not isinstance(node, ast.FunctionDef) or node.name.startswith("fpdm_register_")


def modules() -> dict[str, Path]:
    """Every module of the package and of its plugins, by name."""
    found = {}
    for base in (ROOT, ROOT / "plugins"):
        for path in base.glob("fpdm*/**/*.py"):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def graph() -> dict[str, set[str]]:
    """What each module imports of the others, wherever in it."""
    there = modules()
    found = {}
    for module, path in there.items():
        taken = set()
        for name in imports(path):
            while name and name not in there:
                name = name.rpartition(".")[0]
            taken.add(name)
        found[module] = taken - {module, ""}
    return found


def room(module: str) -> str:
    """The folder or file of `fpdm/` in which a module stands, or its package of plugins."""
    return module.split(".")[1] if module.startswith("fpdm.") else module.split(".")[0]


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """What can be come to along the arrows."""
    found, ahead = set(), [start]
    while ahead:
        new = graph.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def test_what_stands_directly_in_the_package_is_what_users_import():
    here = list((ROOT / "fpdm").iterdir())
    assert {path.stem for path in here if path.suffix == ".py"} == PROMISES
    folders = {path.name for path in here if path.is_dir() and path.name != "__pycache__"}
    assert folders == ROOMS.keys()


def test_no_import_comes_back_to_where_it_began():
    arrows = graph()
    assert not [module for module in arrows if module in reached(arrows, module)]


def test_no_room_looks_into_one_that_looks_into_it():
    rooms = {}
    for module, taken in graph().items():
        if module != "fpdm":  # which hands on what is public
            others = {room(name) for name in taken if name != "fpdm"} - {room(module)}
            rooms[room(module)] = rooms.get(room(module), set()) | others
    assert not [each for each in rooms if each in reached(rooms, each)]


def test_the_files_of_a_circle_are_found():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert [each for each in arrows if each in reached(arrows, each)] == ["a", "b", "c"]


def test_no_file_is_about_more_than_one_idea():
    for path in [*files("fpdm"), *files("plugins")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, path


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_looks_only_where_it_may(name):
    for module, taken in graph().items():
        if module != "fpdm" and room(module) == name:
            others = taken - {"fpdm"} - (LIGHT if name in CORE else set())
            assert {room(found) for found in others} <= {name, *ROOMS[name]}


def test_the_core_knows_no_network_no_pipeline_and_no_training():
    for module, taken in graph().items():
        if module != "fpdm" and room(module) in CORE:
            assert {room(found) for found in taken - LIGHT} <= CORE, module
            assert not [name for name in imports(modules()[module]) if "diffusers" in name], module


def test_importing_fpdm_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import fpdm"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "fpdm" in loaded
    assert not loaded & {*HEAVY, *PLUGINS}


def test_every_lazy_name_is_there():
    import fpdm

    for name in fpdm.__all__:
        assert getattr(fpdm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fpdm.nonsense
