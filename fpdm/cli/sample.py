"""`fpdm sample`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from fpdm.checks import check_real, check_whole, shows
from fpdm.cli import arrays, many, picture, progress
from fpdm.cli.components import Whole, component
from fpdm.cli.devices import check_device
from fpdm.cli.files import Place, check_file, load_pipeline
from fpdm.cli.numbers import read_numbers, read_spacing
from fpdm.cli.plan import planned
from fpdm.cli.wanted import wanted
from fpdm.errors import InvalidValueError

BATCH_SIZE = 64
BUDGET = 60
ONE_FILE = (".png", ".npz")
FILES = (".bmp", ".gif", ".jpeg", ".jpg", ".npy", ".pdf", ".tif", ".tiff", ".txt", ".webp", ".zip")
"""What the name of a file of another kind ends in, and that of a folder does not."""

EXAMPLES = (
    "fpdm sample --classes 3 1 4 1 5",
    "fpdm sample --num 40 --budget 48 --steps 12 --allocation increasing",
    "fpdm sample --model runs/digits --solver anderson:memory=3 --init extrapolate:step=0.25",
    "fpdm sample --num 64 --budget 60 --tol 0.1",
    "fpdm sample --model runs/points --num 2000 --out points.npz",
    "fpdm sample --num 50000 --out samples --npz --compile",
    "torchrun --nproc-per-node 8 -m fpdm sample -n 50000 --out samples --npz",
)


def sample(
    *,
    model: Place | None = None,
    classes: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    conditions: Place | None = None,
    num: Annotated[Whole | None, Parameter(name=["--num", "-n"])] = None,
    num_images_per_class: Whole | None = None,
    budget: Whole | None = None,
    plan: str | None = None,
    seconds: float | None = None,
    num_inference_steps: Annotated[
        Whole | None, Parameter(name=["--steps", "--num-inference-steps"])
    ] = None,
    timesteps: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    sigmas: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    spacing: str | None = None,
    solver: str | None = None,
    tol: float | None = None,
    allocation: str | None = None,
    init: str | None = None,
    scheduler: str | None = None,
    guidance_scale: float = 1.0,
    guidance_channels: Whole | None = None,
    guidance_interval: Annotated[tuple[float, float], Parameter(negative=())] = (0.0, 1.0),
    eta: float | None = None,
    seed: Whole = 0,
    out: Place | None = None,
    batch_size: Whole | None = None,
    npz: Annotated[bool, Parameter(negative=())] = False,
    device: str | None = None,
    compile: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Draw images, or samples of another shape, under a budget of block passes.

    A folder is filled with `000000.png` and so on, by as many processes as a launcher starts. The
    same command goes on where one was interrupted, and each image depends on the seed and its
    number alone. Images that are not finite are named and not written, and the exit code is 1.

    Args:
        model: a folder that `fpdm train` or `fpdm convert` wrote; the digits of the package if not
            given.
        classes: what to draw, in turn, by name or else by number; every class of the model if not
            given, and of more than 16 in one picture without `--num`, 16 that are evenly spread.
            `'#10'` is the number 10 where another class has the name 10; a name with blanks, commas
            or quotes stands between quotes of the shell.
        conditions: in the place of classes, for a model that takes a condition: a `.npy` or `.npz`
            file of them, (N, K) or (N, T, K), in turn.
        num: how many images; one for each class or condition if not given. Write `-n` after
            `torchrun`, which takes `--num` for a word of its own.
        num_images_per_class: in place of `num`, images of each class or condition, one after the
            other.
        budget: transformer-block passes of the run, explicit layers included; 60 if not given.
        plan: `auto` chooses what is left open of timesteps, spacing, scheduler, solver, start and
            allocation by the calibration of the model, and says what; see `fpdm plan`.
        seconds: in place of a budget, how long a batch may take on this machine, if it is drawn
            into one file; it makes a plan.
        num_inference_steps: timesteps; as many as leave two iterations each if not given.
        timesteps: in place of their number, all of them, such as `999,800,600,400,200,0`.
        sigmas: likewise the noise levels, such as `1.0,0.8,0.6,0.4,0.2` of a flow.
        spacing: where the timesteps lie between noise and image: `linear`, `quadratic`, `late`,
            `log-snr`, or a power such as `1.5`; as the scheduler has it if not given.
        solver: what iterates, `name` or `name:option=value,...`; see `fpdm plugins`. The model's
            own, with its options, if not given.
        tol: the relative residual at which an image stops, and leaves its batch until the next
            timestep; the budget is then what images cost on average at most. None stops if not
            given.
        allocation: how iterations are spread over the timesteps; likewise.
        init: where each solve starts; likewise.
        scheduler: what steps from timestep to timestep, such as `ddim`, `ddpm`, `dpm++`, `unipc`,
            `euler` or `heun`; the model's own if not given.
        guidance_scale: classifier-free guidance; 1 is none.
        guidance_channels: how many channels are guided, from the first; all if not given.
        guidance_interval: from where to where in the run it acts, 0 at the noise, 1 at the image.
        eta: how much of the noise of ancestral sampling `ddim` draws, from 0 to 1.
        seed: of the noise.
        out: the picture to write, a PNG, which takes the place of one that is there; or an `.npz`
            of numbers, for samples of any shape; or a folder, for a PNG of each image. If not
            given, `samples.png`, or `samples.npz` where samples are no images. In a picture the
            images of each class stand together; samples that are no images are plotted.
        batch_size: images drawn at once, but into one picture; 64 if not given.
        npz: whether to write the images of a folder into an archive beside it too.
        device: where to draw, such as `cpu` or `cuda:1`; the accelerator that PyTorch finds, or
            else the CPU, if not given.
        compile: whether to compile timesteps, which takes a while, and pays where many images are
            drawn.
    """
    from fpdm.runtime.processes import processes

    if out is not None and out.suffix.lower() in FILES and not out.is_dir():
        raise InvalidValueError(
            f"--out {out}: must end in .png or .npz, or be the name of a folder."
        )
    if out is not None:
        drawn = batch_size is not None and out.suffix.lower() == ".png"
        _check_one_file(out, {"--batch-size": drawn, "--npz": npz})  # before anything is loaded
    _check_numbers(seed=seed, num=num, batch_size=batch_size, guidance_scale=guidance_scale)
    if tol is not None:
        check_real("tol", tol, above=0)
    if classes == []:
        raise InvalidValueError("--classes: must be followed by a number or a name, or by several.")
    settings = {
        "budget": BUDGET if budget is None and seconds is None else budget,
        "num_inference_steps": num_inference_steps,
        "timesteps": read_numbers("--timesteps", timesteps),
        "sigmas": read_numbers("--sigmas", sigmas),
        "spacing": read_spacing(spacing),
        "solver": component("solver", solver),
        "tol": tol,
        "allocation": component("allocation", allocation),
        "init": component("init", init),
        "scheduler": scheduler,
        "guidance_scale": guidance_scale,
        "guidance_channels": guidance_channels,
        "guidance_interval": guidance_interval,
        "eta": eta,
    }
    place = None if device is None else check_device(device)
    pipe = load_pipeline(model)
    target = _target(out, pipe)
    is_picture, is_file = target.suffix.lower() == ".png", target.suffix.lower() in ONE_FILE
    _check_one_file(target, {"--batch-size": batch_size is not None and is_picture, "--npz": npz})
    asked, count = wanted(
        pipe, classes, conditions, num=num, each=num_images_per_class, few=is_picture
    )
    pipe.to(place or processes().device)
    if compile:
        pipe.compile()
    size = BATCH_SIZE if batch_size is None else batch_size
    if seconds is not None and not is_picture and not is_file:
        raise InvalidValueError(
            f"--seconds: the images of a folder are drawn in one way, and by the clock it would be "
            f"another each time; `fpdm plan --seconds {seconds:g} --num {min(size, count)}` says "
            f"what to write."
        )
    if plan is not None or seconds is not None:
        settings = planned(
            pipe, plan, seconds=seconds, count=count if is_picture else min(size, count), **settings
        )
    if is_picture:
        progress.follow_timesteps(pipe)
        whole = picture.draw_picture(target, pipe, asked, count, seed=seed, **settings)
    elif is_file:
        whole = arrays.fill(target, pipe, asked, count, seed=seed, batch_size=size, **settings)
    else:
        folder = many.Folder(target, count, batch_size=size, npz=npz)
        told = {"classes": asked.classes or None, "condition": asked.condition}
        whole = many.fill(folder, pipe, **told, seed=seed, **settings)
    if not whole:
        sys.exit(1)


def _target(out: Path | None, pipe: Any) -> Path:
    """Where to, if nothing is said: into a picture, or where the samples are none, into a file."""
    if out is not None:
        return out
    shown = pipe.vae is not None or shows(pipe.sample_shape)
    return Path("samples.png" if shown else "samples.npz")


def _check_numbers(
    *, seed: int, num: int | None, batch_size: int | None, guidance_scale: float
) -> None:
    """Check what needs no model, before anything is loaded that takes long."""
    check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
    if num is not None:
        check_whole("num", num, minimum=1)
    if batch_size is not None:
        check_whole("batch_size", batch_size, minimum=1)
    check_real("guidance_scale", guidance_scale, minimum=0)


def _check_one_file(out: Path, of_folders: dict[str, bool]) -> None:
    if out.suffix.lower() not in ONE_FILE:
        return
    check_file(out, ONE_FILE)
    for option, given in of_folders.items():
        if given:
            raise InvalidValueError(f"{option} is for a folder of images: give --out a folder.")
    launched = int(os.environ.get("WORLD_SIZE", 1)) if "LOCAL_RANK" in os.environ else 1
    if launched > 1:
        raise InvalidValueError(
            f"--out {out}: one file is drawn by one process, and {launched} are running: give "
            f"--out a folder."
        )
