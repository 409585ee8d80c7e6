"""The program: its commands, and how it ends."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

import fpdm
from fpdm.cli import (
    calibrate,
    compare,
    console,
    convert,
    demo,
    diagnose,
    encode,
    evaluate,
    new_plugin,
    plan,
    plugins,
    sample,
    train,
)
from fpdm.cli.ending import ending
from fpdm.cli.examples import epilogue

HELP = """Fixed point diffusion models under a budget of block passes.

Begin with `fpdm demo`, then `fpdm sample --classes 3 1 4 --budget 60`.
"""

AS_A_FUNCTION: Any = {
    "exit_on_error": False,
    "print_error": False,
    "result_action": "return_value",
}
"""How a command is called so that its errors are ours to tell."""

EVERYWHERE = Group("Every command", sort_key=1)

app = App(
    name="fpdm",
    help=HELP,
    version=fpdm.__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)
for command, examples in (
    (demo.demo, demo.EXAMPLES),
    (sample.sample, sample.EXAMPLES),
    (train.train, train.EXAMPLES),
    (evaluate.evaluate, evaluate.EXAMPLES),
    (compare.compare, compare.EXAMPLES),
    (plan.plan, plan.EXAMPLES),
    (calibrate.calibrate, calibrate.EXAMPLES),
    (diagnose.diagnose, diagnose.EXAMPLES),
    (encode.encode, encode.EXAMPLES),
    (convert.convert, convert.EXAMPLES),
    (new_plugin.new_plugin, new_plugin.EXAMPLES),
):
    app.command(command, help_epilogue=epilogue(examples))
app.command(plugins.app)
app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(negative=(), group=EVERYWHERE)] = False,
    quiet: Annotated[bool, Parameter(negative=(), group=EVERYWHERE)] = False,
) -> None:
    """Run a command.

    Args:
        tokens: the command line.
        debug: print the whole traceback of an error before its sentence; `FPDM_DEBUG=1` in the
            environment does the same.
        quiet: print results, warnings and errors, and neither progress nor remarks.
    """
    debug = debug or os.environ.get("FPDM_DEBUG", "0") not in ("", "0")
    with ending(debug=debug), console.quietly(quiet):
        app(tokens, **AS_A_FUNCTION)


def main(tokens: Iterable[str] | None = None) -> None:
    """Run the program; a user's mistake ends it with one sentence and exit code 2.

    Args:
        tokens: the command line; None takes that of the process.
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where γ cannot be written
    with ending(debug=False):  # here it is only --debug itself that can be wrong
        app.meta(tokens, **AS_A_FUNCTION)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if issubclass(category, UserWarning):
        console.warn(str(message))
