"""`fpdm plugins`."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from fpdm.cli.components import KindName
from fpdm.cli.examples import epilogue
from fpdm.errors import PluginWarning, UnknownNameError, suggest

if TYPE_CHECKING:
    from fpdm.plugins import Component, Failure, PluginHost

EXAMPLES = (
    "fpdm plugins",
    "fpdm plugins show anderson",
    "fpdm plugins --json",
    "FPDM_DISABLE_PLUGINS=heavy-ball,my-package fpdm plugins",
)
SHOW_EXAMPLES = ("fpdm plugins show anderson", "fpdm plugins show anderson --kind solver")

app = App(name="plugins", help_epilogue=epilogue(EXAMPLES))


@app.default
def plugins(*, json_: Annotated[bool, Parameter(name=["--json"], negative=())] = False) -> None:
    """List the components that are installed, and the plugins that failed or are disabled.

    A component is given to other commands by its name, or as `name:option=value,option=value` with
    the options that the list shows at their defaults. `FPDM_DISABLE_PLUGINS` names plugins, or
    packages, that are not loaded, with commas between.

    Args:
        json_: print JSON and nothing else: `components`, `failures` and `disabled`.
    """
    if json_:
        with redirect_stdout(sys.stderr):  # what a plugin prints
            tree = _tree(_load())
        print(json.dumps(tree, indent=2))
        return
    from fpdm.cli import listing

    loaded = _load()
    listing.print_components(loaded.components())
    if loaded.failures:
        listing.print_failures(loaded.failures)
    if loaded.disabled:
        listing.print_disabled(loaded.disabled)


@app.command(help_epilogue=epilogue(SHOW_EXAMPLES))
def show(name: str, /, *, kind: KindName | None = None) -> None:
    """Print the documentation of a component, with its options and how to use it.

    Args:
        name: of the component, as `fpdm plugins` lists it.
        kind: which, where several kinds have a component of this name; all of them if not given.
    """
    from fpdm.cli.documentation import print_documentation

    loaded = _load()
    found = [each for each in loaded.components(kind) if each.name == name]
    if not found:
        names = {each.name for each in loaded.components(kind)}
        raise UnknownNameError(
            f"No {kind or 'component'} is named {name!r}. {suggest(name, names)}{loaded.absent()}"
        )
    for each in found:
        print_documentation(each)


def host() -> PluginHost:
    """The installed plugins, and with them PyTorch, without which help is printed."""
    from fpdm import plugins

    return plugins.host()


def _load() -> PluginHost:
    with warnings.catch_warnings():  # what failed is in a table; a name that fits nothing is not
        warnings.filterwarnings("ignore", message="Plugin ", category=PluginWarning)
        return host()


def _tree(loaded: PluginHost) -> dict[str, Any]:
    return {
        "components": [_component(each) for each in loaded.components()],
        "failures": [_failure(each) for each in loaded.failures],
        "disabled": [
            {
                "plugin": each.plugin,
                "package": each.package,
                "version": each.version,
                "value": each.value,
            }
            for each in loaded.disabled
        ],
    }


def _component(found: Component) -> dict[str, Any]:
    from fpdm.cli.options import options, plain

    return {
        "kind": found.kind,
        "name": found.name,
        "class": f"{found.cls.__module__}:{found.cls.__qualname__}",
        "plugin": found.origin.plugin,
        "package": found.origin.package,
        "version": found.origin.version,
        "file": None if found.file is None else str(found.file),
        "options": {
            option.name: {
                "type": option.type,
                "default": plain(option.default),
                "required": option.required,
                "description": option.description,
            }
            for option in options(found.cls, found.kind)
        },
    }


def _failure(failed: Failure) -> dict[str, Any]:
    return {
        "plugin": failed.origin.plugin,
        "package": failed.origin.package,
        "version": failed.origin.version,
        "value": failed.origin.value,
        "file": None if failed.file is None else str(failed.file),
        "line": failed.line,
        "reason": failed.reason,
    }
