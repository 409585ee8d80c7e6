"""`fpdm new-plugin`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fpdm.cli import console
from fpdm.cli.components import KindName
from fpdm.cli.files import Place

EXAMPLES = (
    "fpdm new-plugin heavy-ball",
    "fpdm new-plugin heavy-ball --kind solver --kind init --out plugins/heavy-ball",
)


def new_plugin(
    name: str,
    /,
    *,
    kind: Annotated[list[KindName] | None, Parameter(negative=())] = None,
    out: Place | None = None,
) -> None:
    """Write a package with a plugin: working code, its tests, and all that is needed to install it.

    Args:
        name: of the component, small letters and digits with hyphens, such as `heavy-ball`; the
            package is then `fpdm-heavy-ball`, the module `fpdm_heavy_ball` and the class
            `HeavyBall`.
        kind: what the package has a component of, once for each; a solver if not given.
        out: the folder to write, which must be empty or not there; `fpdm-NAME` if not given.
    """
    from fpdm.plugins.scaffold import PluginPackage, check_name, write_plugin

    check_name(name)
    package = PluginPackage(name, tuple(kind or ("solver",)))
    folder = Path(package.distribution) if out is None else out
    write_plugin(package, folder)
    console.say(f"Wrote the package {package.distribution} to {folder}. Next:")
    for command in (
        f"cd {shlex.quote(str(folder))}",
        "pip install -e '.[test]'",
        "pytest",
        f"fpdm plugins show {name}",
    ):
        console.say(f"  {command}")
