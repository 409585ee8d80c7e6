"""`fpdm train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fpdm.cli import console, progress
from fpdm.cli.files import Place
from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from fpdm.training import Run

EXAMPLES = (
    "fpdm train digits --out runs/digits",
    "fpdm train mine.toml --set steps=500 --set model.hidden_size=64",
    "fpdm train mine.toml --out runs/mine --resume",
    "fpdm train mine.toml --from runs/other --out runs/mine",
    "fpdm train imagenet --set model.network=dit --set model.preset=B/2",
    "fpdm train --print-config > mine.toml",
    "torchrun --nproc-per-node 8 -m fpdm train mine.toml --out runs/mine",
)


def train(
    config: str | None = None,
    /,
    *,
    out: Place | None = None,
    set_: Annotated[list[str] | None, Parameter(name=["--set"], negative=())] = None,
    from_: Annotated[Place | None, Parameter(name=["--from"])] = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    print_config: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train a network, and save it as a folder that `fpdm sample --model` reads.

    Checkpoints, a log and pictures of samples are kept in the folder while it runs. SIGTERM and
    Ctrl-C end it after the step, with a checkpoint; it goes on from there with `--resume`.

    Args:
        config: a TOML file, or the name of a configuration that comes with the package: `digits`,
            which it is if not given, `digits-fpunet`, `digits-dit`, `emoji`, `emoji-dit`,
            `imagenet`, `ffhq`, `celeba-hq`, or `lsun-church`.
        out: where to save; `runs/NAME` if not given.
        set_: a value in place of the configuration's, `key=value` with dots for tables.
        from_: folder of a trained network, with whose weights to begin, `start_from` of the
            configuration; a `dit` may become an `fpdit`.
        resume: go on with the run in `out` from its newest whole checkpoint, or begin it.
        overwrite: remove the run in `out`, if there is one, and begin anew.
        print_config: print the configuration with comments, and do nothing else; without `config`,
            the default of every key.
    """
    from fpdm.training.sources import read_sources

    if resume and overwrite:
        raise InvalidValueError("--resume with --overwrite: must be one of them.")
    if config is not None:
        read_sources(config)  # what is wrong with it is said before anything is loaded

    import attrs

    from fpdm.training import Run, Training, load_config
    from fpdm.training import print_config as written
    from fpdm.training.folder import check_folder
    from fpdm.training.reading import override, structure_config
    from fpdm.training.signals import Stopped

    if print_config and config is None:
        resolved = structure_config(override({}, set_ or ()))
    else:
        resolved = load_config("digits" if config is None else config, set_ or ())
    if from_ is not None:
        resolved = attrs.evolve(resolved, start_from=from_)
    if print_config:
        print(written(resolved), end="")
        return
    if out is None:
        out = Path("runs") / Path(config or "digits").stem
    check_folder(out, resume=resume, overwrite=overwrite)
    training = Training(resolved)
    main = training.accelerator.is_main_process
    run = Run(training, out, overwrite=overwrite)
    if main:
        if run.resumed:
            console.note(f"going on from step {run.resumed}.")
        for note in run.notes:
            console.note(note)
    try:
        _follow(run, out.name)
    except Stopped as stop:
        if main:
            console.warn(f"{stop} Go on with: --resume")
        sys.exit(stop.exit_code)
    if main:
        console.say(f"Saved to {out}. Draw with: fpdm sample --model {out}")


def _follow(run: Run, name: str) -> None:
    """Run a training under a progress bar, in one of its processes."""
    loss = None
    with progress.bar(
        iterable=run,
        total=run.config.steps,
        initial=run.resumed,
        desc=name,
        unit="step",
        disable=not run.main,
    ) as bar:
        for made in bar:
            share = max(1 / made.step, 0.02)  # a running mean of about 50 steps
            if not made.skipped:
                loss = made.loss if loss is None else loss + share * (made.loss - loss)
            shown = {} if loss is None else {"loss": f"{loss:.4f}"}
            if made.residual is not None:
                shown["residual"] = f"{made.residual:.1e}"
            bar.set_postfix(shown, refresh=False)
