"""What the README and the site say is true, because it runs."""

import importlib
import inspect
import re
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
import torch
from diffusers import DiTTransformer2DModel

import fpdm
from fpdm import hookspecs
from fpdm.plugins import KINDS, Origin, PluginHost, host
from tests.data import pictures
from tests.docs import pages
from tests.docs.pages import PAGES, blocks, commands
from tests.models import published
from tests.places import DOCS, ROOT

ELSEWHERE = {
    DOCS / "tutorials" / "plugin.md": "tests/plugins/test_tutorial.py",
    DOCS / "how-to" / "adapters.md": "tests/docs/adapters.py",
}
"""Pages that have an environment of their own, and the test that runs them in it."""

NOTHING_TO_RUN = ("changelog.md", "cite.md")


def prepare(page: Path, folder: Path) -> None:
    if page.name == "published.md":
        for name in ("DiT-S-2.pt", "SiT-XL-2-256.pt"):
            torch.save(published.state("dit"), folder / name)
        sizes = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 1}
        DiTTransformer2DModel(**sizes, sample_size=8).save_pretrained(folder / "DiT-XL-2-256")
    if page.name == "paper.md":
        pictures.image_folder(folder / "ffhq", each=4, classes=("",))
    if page.name in ("published.md", "data.md", "processes.md", "paper.md"):
        pictures.tiny_vae().save_pretrained(folder / "tiny-vae")
        pictures.image_folder(folder / "imagenet" / "train", each=1)


@pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch._prims_common.check` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*It is passed over:fpdm.errors.TrainingWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE], ids=pages.name)
def test_what_a_page_says_runs(page, here):
    prepare(page, here)
    namespace = pages.run_all(page, here)
    if page.name == "README.md":
        assert Path("three.png").exists()
        assert sum(step.iterations for step in namespace["result"].steps) == 30


def test_what_other_tests_run_is_run_by_them():
    for page, test in ELSEWHERE.items():
        assert page in PAGES
        there = (ROOT / test).read_text(encoding="utf-8")
        assert all(f'"{part}"' in there for part in page.relative_to(DOCS).parts)


def test_a_network_of_ones_own_takes_forty_lines():
    first, *_ = blocks(DOCS / "tutorials" / "own-network.md", "python")
    assert len([line for line in first.text.splitlines() if line.strip()]) <= 40


def test_every_toy_stands_for_a_command():
    said = [
        command for page in PAGES for block in blocks(page, "sh") for command in commands(block)
    ]
    said += [block.text for page in PAGES for block in blocks(page, "python")]
    for pattern in pages.TOYS:
        assert any(re.search(pattern, command) for command in said), pattern


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_every_page_has_an_example(page):
    assert blocks(page, "python", "sh") or page.name in NOTHING_TO_RUN


def test_extras_that_the_pages_install_are_there():
    written = [block.text for page in PAGES for block in blocks(page, "sh")]
    extras = {extra for text in written for extra in re.findall(r"\.\[(\w+)\]", text)}
    assert extras
    assert extras <= set(metadata("fpdm").get_all("Provides-Extra"))


def test_the_plugin_of_the_readme_registers_and_solves(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    block = next(
        block for block in blocks(ROOT / "README.md", "python") if "hookimpl" in block.text
    )
    (tmp_path / "heavy_ball.py").write_text(block.text, encoding="utf-8")
    fresh = PluginHost([])
    fresh.register(importlib.import_module("heavy_ball"), Origin("heavy-ball"))
    solution = fresh.create("solver", "heavy-ball").solve(torch.cos, torch.zeros(3), evals=100)
    assert solution.value.tolist() == pytest.approx([0.739085] * 3, abs=1e-5)


def test_the_navigation_names_every_page_once():
    named = list(pages.navigation())
    apart = {DOCS / "package.md"}  # which an index of packages shows
    assert sorted(named) == sorted({page for page in PAGES if page.parent != ROOT} - apart)


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_links_within_the_repository_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", pages.prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w]+", "-", title.lower()).strip("-") for title in titles}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_hook_stands_in_the_reference_with_its_signature(kind):
    signature = inspect.signature(getattr(hookspecs, kind.hook))
    page = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")
    assert f"def {kind.hook}{signature}".replace("'", "") in page


def test_every_public_name_stands_in_the_reference():
    reference = "\n".join(
        path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")
    )
    for public in set(fpdm.__all__) - {"__version__", "hookimpl", "FPDMError"}:
        assert f"::: fpdm.{public}\n" in reference, public
    assert "::: fpdm.errors" in reference


def test_the_changelog_and_the_docs_know_every_built_in():
    written = [
        (ROOT / path).read_text(encoding="utf-8") for path in ("CHANGELOG.md", "docs/index.md")
    ]
    for component in host().components():
        short = component.name.removeprefix("torchdeq-")
        assert all(short in page for page in written), component.name


def test_the_version_is_said_once():
    assert version("fpdm") == fpdm.__version__
    assert f"version = {{{fpdm.__version__}}}" in (DOCS / "cite.md").read_text(encoding="utf-8")
