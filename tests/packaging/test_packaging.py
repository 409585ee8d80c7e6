"""What is handed to strangers: the source distribution, its page, and true lower bounds."""

import contextlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import fpdm
from tests.bounds import REQUIREMENT, lowest, requirements, tomllib
from tests.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINK = re.compile(r"\]\(([^)]+)\)")
NEEDED = {  # older ones do not have what is used of them
    "cyclopts": (4, 1),
    "diffusers": (0, 37),
    "safetensors": (0, 4, 3),
    "rich": (13, 6),
}
LORA = {"diffusers": (0, 38), "peft": (0, 18), "transformers": (5, 0)}
"""Older ones know no networks but their own, or do not fit one another."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> set[str]:
    """The files of the source distribution, built of a copy of what is here."""
    work = tmp_path_factory.mktemp("sdist")
    copied = copy_of_the_repository(work / "copy")
    build = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=copied, check=True, capture_output=True)
    with tarfile.open(next(work.glob("*.tar.gz"))) as file:
        return {name.partition("/")[2] for name in file.getnames()}


def copy_of_the_repository(copied: Path) -> Path:
    """A folder in which a distribution can be built, of links to what is here."""
    copied.mkdir()
    for name in (
        *("pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md", "Makefile"),
        *("constraints.txt", "mkdocs.yml", ".gitignore", ".ci", "docs", "fpdm", "plugins", "tests"),
    ):
        (copied / name).symlink_to(ROOT / name)
    return copied


def sources() -> set[str]:
    """What stands in the folders of the repository, but for what is made there."""
    folders = (ROOT / name for name in ("docs", "fpdm", "plugins", "tests", ".ci"))
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    made = ("__pycache__", ".egg-info", ".hypothesis", ".pytest_cache", ".venv")
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if not any(part.endswith(made) for part in path.relative_to(ROOT).parts)
    }


def test_the_source_distribution_is_complete(archive):
    assert not sources() - archive
    assert {"Makefile", "constraints.txt", "CHANGELOG.md", "LICENSE", "mkdocs.yml"} <= archive
    assert "fpdm.egg-info/entry_points.txt" in archive  # by which the plugins are found in it
    assert not [name for name in archive if "__pycache__" in name or name.endswith(".pyc")]


def test_a_wheel_has_the_emoji_and_whose_they_are(tmp_path):
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    copied = copy_of_the_repository(tmp_path / "copy")
    subprocess.run([sys.executable, "-c", build], cwd=copied, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as file:
        names = set(file.namelist())
        (meta,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = file.read(meta).decode()
    assert {"fpdm/data/packed/emoji.xz", "fpdm/data/packed/NOTICE"} <= names
    assert {*PROJECT["license-files"]} == {"LICENSE", "fpdm/data/packed/NOTICE"}
    for name in PROJECT["license-files"]:
        assert meta.replace("METADATA", f"licenses/{name}") in names
        assert f"License-File: {name}" in said
    assert "License-Expression: Apache-2.0 AND CC-BY-4.0 AND MIT" in said


def test_the_notice_names_every_family_of_emoji():
    from fpdm.data.pictograms import FILE, STYLES

    said = (FILE.parent / "NOTICE").read_text(encoding="utf-8")
    lines = [line for line in said.splitlines() if line[:1].isdigit()]
    assert [line[7:].partition("  ")[0] for line in lines] == list(STYLES)
    assert all(line.endswith(("Apache-2.0", "CC BY 4.0", "MIT")) for line in lines)


def test_the_page_of_an_index_has_no_link_that_leads_nowhere_there():
    page = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    assert all(target.startswith("https://") for target in LINK.findall(page))
    assert "<img" not in page


def test_there_are_addresses_and_a_classifier_for_each_python():
    assert all(address.startswith("https://") for address in PROJECT["urls"].values())
    versions = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "3." in line]
    first = PROJECT["requires-python"].removeprefix(">=")
    assert versions[0] == first
    assert [int(version.partition(".")[2]) for version in versions] == list(
        range(int(first.partition(".")[2]), int(first.partition(".")[2]) + len(versions))
    )


def test_every_dependency_has_a_lower_bound_that_is_tried():
    found = [REQUIREMENT.fullmatch(line) for line in requirements()]
    assert all(found)
    tried = dict(line.split("==") for line in lowest())
    assert {match[1]: match[2] for match in found if match[1] != "torch"}.items() <= tried.items()
    for name, bound in NEEDED.items():
        assert tuple(map(int, tried[name].split("."))) >= bound


def test_the_lowest_and_the_newest_versions_are_tried_where_changes_land():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert {"make lowest", "make newest", "make sdist"} <= set(script.splitlines())


def test_adapters_are_tried_where_changes_land_and_nowhere_else():
    """Their environment has what the others lack, so that these show what is said without it."""
    assert "make adapters" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    tried = re.search(r"^ADAPTERS := (.*)$", makefile, re.M)[1].split()
    assert tried == ["tests/models/adapters.py", "tests/docs/adapters.py"]
    extras = PROJECT["optional-dependencies"]
    assert [line.partition(">")[0] for line in extras["lora"]] == list(LORA)
    for line, bound in zip(extras["lora"], LORA.values(), strict=True):
        assert tuple(map(int, REQUIREMENT.fullmatch(line)[2].split("."))) >= bound
    assert not re.search("lora|peft|transformers", " ".join(extras["dev"]))


def test_what_is_tried_with_other_versions_is_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    tried = re.findall(r"tests/[\w/]+\.py", makefile)
    assert len(tried) > 8
    assert all((ROOT / name).is_file() for name in tried)


def test_a_saved_folder_names_no_package_of_an_index_that_is_not_ours(tmp_path):
    with contextlib.redirect_stderr(io.StringIO()):
        fpdm.FPDMPipeline.digits().save_pretrained(tmp_path)
    said = (tmp_path / "pipeline.py").read_text(encoding="utf-8")
    assert not re.search(r"pip install (fpdm|'fpdm|\"fpdm)", said)
    assert "in a clone of its repository" in said
    compile(said, "pipeline.py", "exec")
