"""Fresh environments to install plugins into, which see what the tests run with.

Torch, fpdm and the rest come from the environment of the tests; what is installed goes into the
fresh one alone. Everything works offline.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from sysconfig import get_path
from typing import Any

import attrs

WHEEL = """\
Wheel-Version: 1.0
Generator: tests
Root-Is-Purelib: true
Tag: py3-none-any
"""
SEES = "import site; site.addsitedir({!r})\n"


@attrs.frozen
class Environment:
    """A fresh environment.

    Attributes:
        folder: where it is.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Environment":
        venv.create(folder, symlinks=os.name != "nt")
        made = cls(folder)
        (made.packages / "developer.pth").write_text(SEES.format(get_path("purelib")))
        return made

    @property
    def python(self) -> Path:
        return Path(get_path("scripts", vars={"base": str(self.folder)})) / "python"

    @property
    def packages(self) -> Path:
        return Path(get_path("purelib", vars={"base": str(self.folder)}))

    def run(self, *arguments: object, cwd: Path | None = None, **variables: str) -> "Done":
        """Run its Python, away from the folder of the tests and from their settings."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "FPDM", "COLUMNS"))
        }
        done = subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=cwd or self.folder,
            env={**kept, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def plugins(self, **variables: str) -> dict[str, Any]:
        """What `fpdm plugins --json` prints."""
        done = self.run("-m", "fpdm", "plugins", "--json", **variables)
        assert done.code == 0, done.error
        return json.loads(done.output)

    def install(self, *sources: Path) -> None:
        """Install folders or wheels with pip; nothing is fetched, and no folder is written to."""
        copies = self.folder / "sources"
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        found = [shutil.copytree(s, copies / s.name) if s.is_dir() else s for s in sources]
        self._pip(
            "install", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile", *found
        )

    def uninstall(self, *names: str) -> None:
        self._pip("uninstall", "--yes", *names)

    def _pip(self, *arguments: object) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run(
            [*pip, "--python", str(self.python), *map(str, arguments)], check=True, cwd=self.folder
        )


@attrs.frozen
class Done:
    """How a command ended: its exit code, and what it printed on standard output and error."""

    code: int
    output: str
    error: str


def wheel(
    folder: Path,
    distribution: str,
    modules: dict[str, str],
    *,
    points: dict[str, str],
    version: str = "1.0",
) -> Path:
    """Write a wheel that holds `modules` by file name, and names `points` in the group `fpdm`."""
    name = distribution.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    named = "".join(f"{key} = {value}\n" for key, value in points.items())
    files = {
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": f"[fpdm]\n{named}",
    }
    records = [
        f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,", ""])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
