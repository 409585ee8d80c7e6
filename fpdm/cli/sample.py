"""`fpdm sample`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter

from fpdm.checks import check_whole
from fpdm.cli import console
from fpdm.cli.components import Whole, component
from fpdm.cli.files import check_picture, load_pipeline

EXAMPLES = (
    "fpdm sample --classes 3 1 4 1 5",
    "fpdm sample --num 40 --budget 48 --steps 12 --allocation increasing",
    "fpdm sample --model runs/digits --solver anderson:memory=3 --init extrapolate:step=0.25",
)


def sample(
    *,
    model: Path | None = None,
    classes: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    num: Whole | None = None,
    budget: Whole = 60,
    num_inference_steps: Annotated[
        Whole | None, Parameter(name=["--steps", "--num-inference-steps"])
    ] = None,
    solver: str | None = None,
    allocation: str | None = None,
    init: str | None = None,
    scheduler: str | None = None,
    guidance_scale: float = 1.0,
    guidance_channels: Whole | None = None,
    guidance_interval: Annotated[tuple[float, float], Parameter(negative=())] = (0.0, 1.0),
    seed: Whole = 0,
    out: Path = Path("samples.png"),
) -> None:
    """Draw images under a budget of block passes, into one picture.

    Args:
        model: a folder that `fpdm train` or `fpdm convert` wrote; the digits of the package if not
            given.
        classes: what to draw, in turn, by number or by name; every class of the model if not given.
        num: how many images; one for each of `classes` if not given.
        budget: transformer-block passes of the run, explicit layers included.
        num_inference_steps: timesteps; as many as leave two iterations each if not given.
        solver: what iterates, `name` or `name:option=value,...`; see `fpdm plugins`.
        allocation: how iterations are spread over the timesteps; likewise.
        init: where each solve starts; likewise.
        scheduler: what steps from timestep to timestep, such as `ddim`, `ddpm`, `dpm++`, `unipc`,
            `euler` or `heun`; the model's own if not given.
        guidance_scale: classifier-free guidance; 1 is none.
        guidance_channels: how many channels are guided, from the first; all if not given.
        guidance_interval: from where to where in the run it acts, 0 at the noise, 1 at the image.
        seed: of the noise.
        out: the picture to write, a PNG.
    """
    check_picture(out)
    check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
    strategies = {
        "solver": component("solver", solver),
        "allocation": component("allocation", allocation),
        "init": component("init", init),
    }
    pipe = load_pipeline(model)
    classes_of_model = range(pipe.classes.count) or [pipe.classes.null]
    wanted = [_label(name) for name in classes or map(str, classes_of_model)]
    count = len(wanted) if num is None else check_whole("num", num, minimum=1)
    labels = [wanted[i % len(wanted)] for i in range(count)]

    began = time.perf_counter()
    result = pipe(
        labels,
        budget=budget,
        num_inference_steps=num_inference_steps,
        scheduler=scheduler,
        guidance_scale=guidance_scale,
        guidance_channels=guidance_channels,
        guidance_interval=guidance_interval,
        generator=torch.Generator().manual_seed(seed),
        **strategies,
    )
    seconds = time.perf_counter() - began

    from fpdm.gallery import Row, gallery

    width = 10
    rows = [Row("", result.images[i : i + width]) for i in range(0, count, width)]
    gallery(rows, title=f"{budget} block passes, {len(result.steps)} timesteps").save(out)
    console.table(
        "Sampling",
        RUN_COLUMNS,
        [run_summary(result.steps, seconds)],
    )
    console.say(f"Wrote {count} images to {out}.")


def _label(text: str) -> int | str:
    """A class as it was typed: its number, or its name."""
    try:
        return int(text)
    except ValueError:
        return text


RUN_COLUMNS = ("block\npasses", "timesteps", "iterations", "residual", "seconds")


def run_summary(steps: list[Any], seconds: float) -> tuple[str, ...]:
    """The cells of a run: block passes, timesteps, iterations, mean final residual, seconds."""
    residuals = [step.residual.mean() for step in steps if step.residual is not None]
    residual = f"{torch.stack(residuals).mean():.4f}" if residuals else "–"
    return (
        str(sum(step.passes for step in steps)),
        str(len(steps)),
        str(sum(step.iterations for step in steps)),
        residual,
        f"{seconds:.1f}",
    )
