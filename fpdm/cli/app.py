"""The program: its commands, and how it ends."""

from __future__ import annotations

import io
import os
import shlex
import sys
import warnings
from collections.abc import Iterable
from typing import Any

from cyclopts import App, CycloptsError, UnusedCliTokensError

import fpdm
from fpdm.cli import console, convert, demo, encode, new_plugin, plugins, sample, train
from fpdm.cli.examples import epilogue
from fpdm.errors import FPDMError

HELP = """Fixed point diffusion models under a budget of block passes.

Begin with `fpdm demo`, then `fpdm sample --classes 3 1 4 --budget 60`.
"""

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
    (encode.encode, encode.EXAMPLES),
    (convert.convert, convert.EXAMPLES),
    (new_plugin.new_plugin, new_plugin.EXAMPLES),
):
    app.command(command, help_epilogue=epilogue(examples))
app.command(plugins.app)


def main(tokens: Iterable[str] | None = None) -> None:
    """Run the program; a user's mistake ends it with one sentence and exit code 2.

    Args:
        tokens: the command line; None takes that of the process.
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where γ cannot be written
    try:
        app(
            tokens,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except UnusedCliTokensError as error:
        console.error(f"Unexpected on the command line: {shlex.join(error.unused_tokens or ())}.")
        sys.exit(2)
    except (FPDMError, CycloptsError) as error:
        console.error(" ".join(str(error).split()))
        sys.exit(2)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        console.error(f"{error.filename or 'file'}: {error.strerror or error}.")
        sys.exit(2)
    except KeyboardInterrupt:
        console.error("interrupted.")
        sys.exit(130)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if issubclass(category, UserWarning):
        console.note(str(message))
