"""`fpdm train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fpdm.cli import console
from fpdm.errors import InvalidValueError

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
    from tqdm import tqdm

    from fpdm.training import Training, load_config

    resolved = load_config(config, set_ or ())
    out = out or Path("runs") / Path(config).stem
    if not overwrite and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidValueError(f"{out} already exists: choose another --out, or add --overwrite.")
    out.mkdir(parents=True, exist_ok=True)
    training = Training(resolved)
    loss = 0.0
    with tqdm(training, total=resolved.steps, desc=out.name, unit="step") as bar:
        for progress in bar:
            share = max(1 / progress.step, 0.02)  # a running mean of about 50 steps
            loss += share * (progress.loss - loss)
            shown = {"loss": f"{loss:.4f}"}
            if progress.residual is not None:
                shown["residual"] = f"{progress.residual:.1e}"
            bar.set_postfix(shown, refresh=False)
    training.save(out)
    console.say(f"Saved to {out}. Draw with: fpdm sample --model {out}")
