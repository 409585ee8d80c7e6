"""The versions of `make lowest` and `make newest`, as constraints for pip.

    python tests/bounds.py lowest    each dependency at its lower bound in pyproject.toml
    python tests/bounds.py newest    nothing but PyTorch, which is one for all environments
    python tests/bounds.py here      where the packages of this environment are

PyTorch is that of constraints.txt everywhere, because it brings gigabytes.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*>=\s*([0-9][0-9.]*)\s*(?:;.*)?")
EXTRAS = ("eval", "plot")
TOOLS = ("pytest", "pytest-xdist", "hypothesis")


def requirements() -> list[str]:
    """What the package and the tests need, as pyproject.toml says it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    tools = [line for line in extras["dev"] if line.partition(">")[0] in TOOLS]
    return [*project["dependencies"], *(line for name in EXTRAS for line in extras[name]), *tools]


def torch() -> str:
    """The line of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("torch=="))


def lowest() -> list[str]:
    """Each dependency but PyTorch at its lower bound."""
    found = [REQUIREMENT.fullmatch(line) for line in requirements()]
    pairs = [match.groups() for match in found if match is not None]
    return [torch(), *(f"{name}=={bound}" for name, bound in pairs if name != "torch")]


def main(what: str) -> None:
    """Print what is asked for."""
    if what == "here":
        print(sysconfig.get_path("purelib"))
    else:
        print(*(lowest() if what == "lowest" else [torch()]), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
