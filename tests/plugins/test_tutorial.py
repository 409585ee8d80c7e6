"""The tutorial of the plugin author, followed to the letter in a fresh environment."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.places import DOCS
from tests.plugins.environments import Environment

PAGE = DOCS / "tutorials" / "plugin.md"
EXAMPLE = DOCS / "plugins" / "fpdm-example"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
PROGRAMS = {
    "fpdm": '"{here}" -m fpdm "$@"',
    "pytest": '"{here}" -m pytest -p no:cacheprovider "$@"',
    "pip": '"{developer}" -m pip --disable-pip-version-check --quiet --python "{here}" "$@"',
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Runs commands one after another in a shell, as a reader does in an active environment."""
    environment = Environment.make(tmp_path_factory.mktemp("environment") / "venv")
    programs = environment.python.parent
    for name, line in PROGRAMS.items():
        program = programs / name
        written = line.format(here=environment.python, developer=sys.executable)
        program.write_text(f"#!/bin/sh\nexec {written}\n", encoding="utf-8")
        program.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "FPDM"))}
    variables = {
        **(kept | OFFLINE),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }

    def run(text: str, folder: Path) -> tuple[str, Path]:
        """What it printed, and in which folder it left the reader."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{text}\necho; pwd"],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed, _, there = done.stdout.rstrip("\n").rpartition("\n")
        return printed, Path(there)

    return run


def test_the_tutorial_leads_from_an_empty_folder_to_a_plugin_in_use(reader, tmp_path):
    folder, printed = tmp_path, {}
    for block in blocks(PAGE, "sh", "python", "toml"):
        if block.title and "." in block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            printed[block.text], folder = reader(block.text, folder)
        else:
            (tmp_path / "block.py").write_text(block.text, encoding="utf-8")
            reader(f"python '{tmp_path / 'block.py'}'", folder)

    first, *_ = (said for text, said in printed.items() if "editable ." in text)
    assert re.search(r"irons-tuck.*fpdm-example", first)
    assert re.search(r"cosine.*fpdm-example", first)
    without = next(said for text, said in printed.items() if "DISABLE" in text)
    assert "irons-tuck" not in without
    left, _ = reader("fpdm plugins", tmp_path)
    assert "fpdm-example" not in left
    assert "fpdm-two-step" not in left


def test_the_tutorial_shows_the_package_whole():
    shown = {block.title for block in blocks(PAGE, "python", "toml") if block.title}
    sources = (path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.glob("src/*/*.py"))
    assert {"pyproject.toml", "tests/test_conformance.py", *sources} <= shown
