"""`fpdm train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fpdm.cli import console
from fpdm.cli.files import check_new_folder

if TYPE_CHECKING:
    from fpdm.training import Training

EXAMPLES = (
    "fpdm train digits --out runs/digits",
    "fpdm train mine.toml --set steps=500 --set model.hidden_size=64",
)


def train(
    config: str = "digits",
    /,
    *,
    out: Path | None = None,
    set_: Annotated[list[str] | None, Parameter(name=["--set"], negative=())] = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train a network, and save it as a folder that `fpdm sample --model` reads.

    Args:
        config: a TOML file, or the name of a configuration that comes with the package.
        out: where to save; `runs/NAME` if not given.
        set_: a value in place of the configuration's, `key=value` with dots for tables.
        overwrite: whether `out` may already hold something.
    """
    from fpdm.training import Training, load_config

    resolved = load_config(config, set_ or ())
    out = out or Path("runs") / Path(config).stem
    check_new_folder("--out", out, overwrite=overwrite)
    training = Training(resolved)
    out.mkdir(parents=True, exist_ok=True)
    try:
        _run(training, out.name)
        training.save(out)
    except BaseException:
        if not any(out.iterdir()):
            out.rmdir()
            console.note("nothing was saved: a training is saved when it is complete.")
        raise
    console.say(f"Saved to {out}. Draw with: fpdm sample --model {out}")


def _run(training: Training, name: str) -> None:
    """Run a training under a progress bar."""
    from tqdm import tqdm

    steps, loss = training.config.steps, 0.0
    with tqdm(training, total=steps, desc=name, unit="step") as bar:
        for progress in bar:
            share = max(1 / progress.step, 0.02)  # a running mean of about 50 steps
            loss += share * (progress.loss - loss)
            shown = {"loss": f"{loss:.4f}"}
            if progress.residual is not None:
                shown["residual"] = f"{progress.residual:.1e}"
            bar.set_postfix(shown, refresh=False)
