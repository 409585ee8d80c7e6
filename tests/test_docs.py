"""What the README and the docstrings say is true, because it runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
import warnings
from pathlib import Path

import published
import pytest
import torch

import fpdm
from fpdm.errors import PluginWarning
from fpdm.plugins import Origin, PluginHost, host

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ["fpdm", "fpdm_solvers", "fpdm_allocation", "fpdm_init", "fpdm_gradients"]


def modules() -> list[str]:
    names = []
    for package in PACKAGES:
        found = importlib.import_module(package)
        names += [
            package,
            *(
                module.name
                for module in pkgutil.walk_packages(found.__path__, f"{package}.")
                if not module.name.endswith("__main__")
            ),
        ]
    return names


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if page.name == "published.md":
        torch.save(published.state("dit"), "DiT-S-2.pt")
    namespace: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)
    if page.name == "README.md":
        assert (tmp_path / "three.png").exists()
        assert sum(step.iterations for step in namespace["result"].steps) == 30


def test_the_plugin_of_the_readme_registers_and_solves(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    block = next(block for block in blocks(ROOT / "README.md", "python") if "hookimpl" in block)
    (tmp_path / "heavy_ball.py").write_text(block, encoding="utf-8")
    fresh = PluginHost([])
    fresh.register(importlib.import_module("heavy_ball"), Origin("heavy-ball"))
    solution = fresh.create("solver", "heavy-ball").solve(torch.cos, torch.zeros(3), evals=100)
    assert solution.value.tolist() == pytest.approx([0.739085] * 3, abs=1e-5)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", modules())
def test_docstring_examples_run(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.parametrize("name", modules())
def test_everything_public_has_a_docstring(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module), name
    for attribute, value in vars(module).items():
        if attribute.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        assert inspect.getdoc(value), f"{name}.{attribute}"
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    assert inspect.getdoc(function), f"{name}.{attribute}.{method}"


def test_every_component_says_what_its_options_are():
    for component in host().components():
        said = inspect.getdoc(component.cls)
        for option in inspect.signature(component.cls).parameters:
            assert f"{option}:" in said, f"{component.name}: {option}"


def test_the_changelog_and_the_docs_know_every_built_in():
    pages = [
        (ROOT / path).read_text(encoding="utf-8") for path in ("CHANGELOG.md", "docs/index.md")
    ]
    for component in host().components():
        short = component.name.removeprefix("torchdeq-")
        assert all(short in page for page in pages), component.name


def test_the_version_is_said_once():
    from importlib.metadata import version

    assert version("fpdm") == fpdm.__version__
