"""Dependencies point one way: plugins → interfaces ← core ← models ← pipeline, training ← cli."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
CORE = [
    *("errors", "checks", "solution", "interfaces", "hookspecs", "counting", "batch", "iteration"),
    *("allocator", "plugins", "layer", "denoiser", "sampling", "tracing", "guidance", "stepping"),
]
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


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        (CORE, ["fpdm.models", "fpdm.pipeline", "fpdm.training", "fpdm.cli", "diffusers"]),
        (["models/*"], ["fpdm.pipeline", "fpdm.training", "fpdm.evaluation", "fpdm.cli"]),
        (["pipeline", "training/*", "evaluation/*", "data/*", "gallery"], ["fpdm.cli"]),
    ],
)
def test_dependencies_point_one_way(modules, forbidden):
    for module in modules:
        paths = list((ROOT / "fpdm").glob(f"{module}.py"))
        assert paths
        for path in paths:
            assert not [
                name
                for name in imports(path)
                for bad in forbidden
                if f"{name}.".startswith(f"{bad}.")
            ], path


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
