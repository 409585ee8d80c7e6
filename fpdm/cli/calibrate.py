"""`fpdm calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from fpdm.checks import check_real
from fpdm.cli import console, progress
from fpdm.cli.components import Several, Whole, component
from fpdm.cli.devices import check_device
from fpdm.cli.files import Place, check_file, load_pipeline
from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from fpdm.calibration import Calibration
    from fpdm.planning import Calibrating

EXAMPLES = (
    "fpdm calibrate runs/digits",
    "fpdm calibrate runs/digits --budgets 24 60 240 --schedulers ddim dpm++ --out ddim.json",
)


def calibrate(
    model: Place | None = None,
    /,
    *,
    samples: Whole = 128,
    budgets: Annotated[list[Whole] | None, Parameter(consume_multiple=True, negative=())] = None,
    schedulers: Several = None,
    spacings: Several = None,
    iterations: Annotated[list[Whole] | None, Parameter(consume_multiple=True, negative=())] = None,
    solvers: Several = None,
    inits: Several = None,
    allocations: Several = None,
    guidance_scale: float = 1.0,
    seed: Whole = 0,
    out: Place | None = None,
    device: str | None = None,
) -> None:
    """Measure what a budget buys, for `fpdm plan`, `fpdm sample --plan auto` and `measured`.

    The same samples are drawn in one way and another, at several budgets, and compared with those
    of a long run from the same noise: no labels and no data are needed. Of the digits it takes
    some minutes on two cores.

    Args:
        model: a folder that `fpdm train` or `fpdm convert` wrote; the digits of the package if not
            given, and then say where to with `--out`.
        samples: that each run draws, in one batch; each class in turn.
        budgets: block passes of the runs; those of 3 to 60 timesteps of two iterations if not
            given.
        schedulers: by name; `dpm++` and `unipc` if not given.
        spacings: of timesteps; `late`, `quadratic` and `log-snr` if not given.
        iterations: at each timestep; 1, 2, 3 and 5 if not given.
        solvers: beside the model's own, around what is best with that; `naive` if not given.
        inits: likewise; `features` and `extrapolate` if not given.
        allocations: beside `constant`; `increasing`, `decreasing`, `adaptive` and `measured` if not
            given.
        guidance_scale: of all runs; a calibration is for one.
        seed: of the noise.
        out: the file to write; `calibration.json` in the folder of the model if not given, where
            the others find it.
        device: where to draw, such as `cpu` or `cuda`; the accelerator that PyTorch finds, or else
            the CPU, if not given.
    """
    from fpdm.cli.numbers import read_spacing
    from fpdm.planning import Calibrating, Choices
    from fpdm.runtime.processes import processes

    if model is None and out is None:
        raise InvalidValueError(
            "--out: say where to write the calibration of the digits, which come with one."
        )
    if out is not None:
        check_file(out, (".json",))
    check_real("guidance_scale", guidance_scale, minimum=0)
    named: dict[str, Any] = {
        "schedulers": schedulers,
        "spacings": spacings and [read_spacing(each) for each in spacings],
        "iterations": iterations,
        "solvers": _components("solver", solvers),
        "inits": _components("init", inits),
        "allocations": _components("allocation", allocations),
    }
    choices = Choices(**{name: value for name, value in named.items() if value is not None})
    place = None if device is None else check_device(device)
    pipe = load_pipeline(model)
    pipe.to(place or processes().device)
    calibrating = Calibrating(
        pipe,
        samples=samples,
        seed=seed,
        budgets=budgets,
        choices=choices,
        guidance_scale=guidance_scale,
    )
    calibration = _follow(calibrating)
    target = calibration.write(out if out is not None else Path(str(model)))
    _show(calibration, pipe)
    console.say(f"Wrote {target}.")


def _components(kind: str, texts: list[str] | None) -> list[Any] | None:
    return None if texts is None else [component(kind, text) for text in texts]


def _follow(calibrating: Calibrating) -> Calibration:
    with progress.bar(total=None, desc="calibrating", unit="pass") as bar:
        return calibrating.follow(bar)


def _show(calibration: Calibration, pipe: Any) -> None:
    """Print what is best at each budget, and what it leaves."""
    from fpdm.planning import plan

    budgets = sorted({budget for tried in calibration.tried for budget in tried.budgets})
    chosen = [plan(pipe, budget=budget, calibration=calibration) for budget in budgets]
    rows = [
        (
            str(each.budget),
            str(each.steps),
            f"{each.error:.3g}",
            "" if each.usual is None else f"{each.usual:.3g}",
            ", ".join(f"{name}={value}" for name, value in each.way.chosen.items()),
        )
        for each in chosen
    ]
    title = f"What a budget buys: the error of {calibration.samples} final samples"
    console.table(title, ("passes", "timesteps", "error", "usual", "by"), rows)
    console.note(f"the long run itself is known to {calibration.reference:.2g}.")
