"""A plugin package of one's own, written from templates."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Any

from attrs import field, frozen

from fpdm import plugins
from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import things, written_folder

TEMPLATES = Path(__file__).parent / "templates" / "plugin"
PREFIX = "fpdm-"
WIDTH = 100
LONGEST = 30
"""Letters of a name with which no line of the templates grows past a hundred."""


def _known(_: Any, __: Any, kinds: tuple[str, ...]) -> None:
    if not kinds or not set(kinds) <= set(plugins.KINDS):
        raise InvalidValueError(
            f"kinds={kinds}: must be of {', '.join(plugins.KINDS)}, one or more."
        )


def _in_order(kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sorted(kinds, key=[*plugins.KINDS, *kinds].index)))


def check_name(name: str) -> None:
    """Check that a component and a package can be called by a name.

    Args:
        name: lower-case words with hyphens, `heavy-ball`.

    Raises:
        InvalidValueError: they cannot.
    """
    if name == "fpdm":
        raise InvalidValueError(f"NAME {name}: is the name of this library; choose another name.")
    if name.startswith(PREFIX):
        raise InvalidValueError(
            f"NAME {name}: leave out {PREFIX}, which the package gets by itself; try "
            f"{name.removeprefix(PREFIX)}."
        )
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise InvalidValueError(
            f"NAME {name}: must be words of small letters and digits with hyphens between, such as "
            f"heavy-ball, and at most {LONGEST} characters."
        )
    if iskeyword(name) or iskeyword(_class(name)):
        raise InvalidValueError(f"NAME {name}: is a keyword of Python; choose another name.")


@frozen
class PluginPackage:
    """A package to be written.

    Attributes:
        name: of its components and of the plugin: lower-case words with hyphens, `heavy-ball`.
        kinds: what it has a component of.

    Raises:
        InvalidValueError: the name cannot be one of a component and a package, or there is no such
            kind.
    """

    name: str = field(validator=lambda _, __, name: check_name(name))
    kinds: tuple[str, ...] = field(converter=_in_order, validator=_known)

    @property
    def distribution(self) -> str:
        """What is installed: `fpdm-heavy-ball`."""
        return f"{PREFIX}{self.name}"

    @property
    def module(self) -> str:
        """What is imported: `fpdm_heavy_ball`."""
        return self.distribution.replace("-", "_")

    def class_of(self, kind: str) -> str:
        """The class of a kind: `HeavyBall`, or `HeavyBallSolver` where there are several.

        Args:
            kind: one of `kinds`.
        """
        return _class(self.name) + (kind.title() if len(self.kinds) > 1 else "")

    def files(self) -> dict[str, str]:
        """What each file holds, by its path in the package."""
        source = f"src/{self.module}"
        words = self._words()
        made = {
            "pyproject.toml": _render("pyproject.toml", words),
            "README.md": _render("README.md", words),
            f"{source}/__init__.py": _render("__init__.py", words),
            f"{source}/hooks.py": _render("hooks.py", words),
            f"{source}/py.typed": "",
        }
        for kind in self.kinds:
            of_kind = words | {"cls": self.class_of(kind)}
            made[f"{source}/{kind}.py"] = _render(f"{kind}.py", of_kind)
            made[f"tests/test_{kind}.py"] = _render(f"test_{kind}.py", of_kind)
        return made

    def _training(self) -> str:
        """How what a training's configuration names is trained, for the README."""
        kinds = [plugins.KINDS[kind] for kind in self.kinds if plugins.KINDS[kind].table]
        if not kinds:
            return ""
        chosen = " ".join(f"--set {kind.table}.{kind.key}={self.name}" for kind in kinds)
        return (
            f"\n```sh\nfpdm train {chosen} --set steps=200 --out runs/{self.name}\n"
            f"fpdm sample --model runs/{self.name}\n```\n"
        )

    def _words(self) -> dict[str, str]:
        """What stands for the placeholders of all files."""
        kinds = [(plugins.KINDS[kind], self.class_of(kind)) for kind in sorted(self.kinds)]
        hooks = [
            _render(
                "hook.py",
                {
                    "hook": kind.hook,
                    "interface": kind.interface.__name__,
                    "kind": _said(kind.name),
                    "cls": cls,
                },
            )
            for kind, cls in kinds
        ]
        return {
            "name": self.name,
            "distribution": self.distribution,
            "module": self.module,
            "summary": f"the {_listed([_said(kind) for kind in self.kinds])} {self.name}",
            "imports": "\n".join(
                f"from {self.module}.{kind.name} import {cls}" for kind, cls in kinds
            ),
            "exported": "\n".join(f'    "{cls}",' for _, cls in kinds),
            "interfaces": _import_line([kind.interface.__name__ for kind, _ in kinds]),
            "hooks": "\n\n".join(hooks).rstrip("\n"),
            "usage": "\n".join(f'{kind} = fpdm.{kind}("{self.name}")' for kind in self.kinds),
            "trains": self._training(),
            "rows": "\n".join(
                f"- `src/{self.module}/{kind}.py` is the {_said(kind)}, and `tests/test_{kind}.py` "
                f"holds it to its contract."
                for kind in self.kinds
            ),
        }


def write_plugin(package: PluginPackage, folder: Path) -> None:
    """Write a package, all of it or nothing.

    Args:
        package: what to write.
        folder: where; it must be empty, or not there.

    Raises:
        InvalidValueError: the name is taken by something that is installed, or `folder` holds
            something.
    """
    files = package.files()
    _check_free(package, files)
    _check_folder(folder)
    with written_folder(folder) as beside:
        for name, text in files.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _check_free(package: PluginPackage, files: dict[str, str]) -> None:
    for kind in package.kinds:
        for found in plugins.host().components(kind):
            if found.name == package.name:
                raise InvalidValueError(
                    f"NAME {package.name}: is the name of a {kind} already, of plugin "
                    f"{found.origin}; choose another name."
                )
    if find_spec(package.module) is not None:
        raise InvalidValueError(
            f"NAME {package.name}: there is an import package {package.module} already; choose "
            f"another name."
        )
    classes = {package.class_of(kind) for kind in package.kinds}
    for name, text in files.items():
        if name.endswith(".py") and (taken := classes & _imported(text, besides=package.module)):
            raise InvalidValueError(
                f"NAME {package.name}: the code of the package imports another {taken.pop()}; "
                f"choose another name."
            )


def _check_folder(folder: Path) -> None:
    if not folder.parent.is_dir():
        raise InvalidValueError(f"--out {folder}: there is no folder {folder.parent}.")
    if folder.exists() and (not folder.is_dir() or things(folder)):
        raise InvalidValueError(f"{folder} already exists: choose another folder with --out.")
    if folder.resolve() == Path.cwd():
        raise InvalidValueError(f"--out {folder}: is the current folder; give one below it.")


def _imported(text: str, *, besides: str) -> set[str]:
    """The names that a module imports from other packages."""
    return {
        alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] != besides
        for alias in node.names
    }


def _render(template: str, words: dict[str, str]) -> str:
    text = (TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _said(kind: str) -> str:
    """A kind of component in words."""
    return {"dataset": "data set"}.get(kind, kind)


def _class(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _import_line(interfaces: list[str]) -> str:
    """What `hooks.py` imports of fpdm, as ruff lays it out."""
    names = [*sorted(interfaces), "hookimpl"]
    line = f"from fpdm import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join(["from fpdm import (", *(f"    {name}," for name in names), ")"])


def _listed(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
