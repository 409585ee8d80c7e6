"""`fpdm plan`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from fpdm.checks import check_choice
from fpdm.cli import console
from fpdm.cli.components import Whole, component
from fpdm.cli.devices import check_device
from fpdm.cli.files import Place, load_pipeline
from fpdm.errors import InvalidValueError

EXAMPLES = (
    "fpdm plan --budget 120",
    "fpdm plan runs/digits --seconds 2.0 --num 64",
    "fpdm plan runs/digits --budget 60 --solver naive",
)

OPEN = ("scheduler", "spacing", "solver", "allocation", "init")
"""What a plan chooses beside timesteps and iterations, if it is not settled already."""
STRATEGIES = ("solver", "allocation", "init")
"""Those of them that are components."""


def plan(
    model: Place | None = None,
    /,
    *,
    budget: Whole | None = None,
    seconds: float | None = None,
    num: Whole = 1,
    scheduler: str | None = None,
    spacing: str | None = None,
    solver: str | None = None,
    allocation: str | None = None,
    init: str | None = None,
    guidance_scale: float = 1.0,
    calibration: Place | None = None,
    device: str | None = None,
    compile: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Say how a budget is best spent on a model, and why.

    It reads what `fpdm calibrate` measured, and prints the call that spends the budget so, in
    Python and on the command line; `fpdm sample --plan auto` makes it.

    Args:
        model: a folder with a calibration in it; the digits of the package if not given.
        budget: transformer-block passes of the run, explicit layers included.
        seconds: in its place, how long a run may take on this machine, which is measured first.
        num: samples of the run, on which its seconds depend.
        scheduler: settled already; chosen if not given. So are the next four.
        spacing: where the timesteps lie.
        solver: what iterates, `name` or `name:option=value,...`.
        allocation: how iterations are spread over the timesteps, likewise.
        init: where each solve starts, likewise.
        guidance_scale: classifier-free guidance; 1 is none.
        calibration: in place of that in the folder of the model, a file.
        device: where to draw; the accelerator that PyTorch finds, or else the CPU, if not given.
        compile: whether runs are compiled, where there are seconds.
    """
    from fpdm.calibration import Calibration
    from fpdm.cli.numbers import read_spacing
    from fpdm.planning import plan as choose
    from fpdm.runtime.processes import processes

    if (budget is None) == (seconds is None):
        raise InvalidValueError("--budget, --seconds: give one of them.")
    given: dict[str, Any] = {
        "scheduler": scheduler,
        "spacing": read_spacing(spacing),
        "solver": _spec("solver", component("solver", solver)),
        "allocation": _spec("allocation", component("allocation", allocation)),
        "init": _spec("init", component("init", init)),
    }
    place = None if device is None else check_device(device)
    known = None if calibration is None else Calibration.read(calibration)
    pipe = load_pipeline(model)
    pipe.to(place or processes().device)
    if compile:
        pipe.compile()
    choice = choose(
        pipe,
        budget=budget,
        seconds=seconds,
        count=num,
        calibration=known,
        given=given,
        guidance_scale=guidance_scale,
    )
    console.say(choice.call)
    console.say(_line(choice.settings, model))
    for sentence in choice.why:
        console.say(f"- {sentence}")
    if choice.seconds is not None:
        console.say(f"- A run of {num} is expected to take {choice.seconds:.2f} s here.")


def planned(
    pipe: Any, plan: str | None, *, seconds: float | None, count: int, **settings: Any
) -> dict[str, Any]:
    """Settings of a run, with what a plan makes of what is left open; it says what.

    Args:
        pipe: that draws.
        plan: `auto`; None where there are seconds.
        seconds: of a batch, in place of a budget; None where there is a budget.
        count: samples of a batch.
        settings: keywords of the pipeline, None where nothing is said.

    Returns:
        The settings.

    Raises:
        InvalidValueError: the plan is none, or what it would say is said already.
    """
    from fpdm.planning import plan as choose

    check_choice("--plan", "auto" if plan is None else plan, choices=("auto",))
    if seconds is not None and settings["budget"] is not None:
        raise InvalidValueError("--budget, --seconds: give one of them.")
    given = {name: _spec(name, settings[name]) for name in OPEN}
    said = ("num_inference_steps", "timesteps", "sigmas")
    if any(settings[name] is not None for name in said):
        raise InvalidValueError("--steps, --timesteps, --sigmas: a plan says so; leave them out.")
    choice = choose(
        pipe,
        budget=settings["budget"],
        seconds=seconds,
        count=count,
        given=given,
        guidance_scale=settings["guidance_scale"],
    )
    console.note(f"the plan is {choice.call}.")
    return settings | choice.settings


def _line(settings: dict[str, Any], model: Any) -> str:
    """The same as a command."""
    names = {"num_inference_steps": "steps"}
    words = ["fpdm", "sample"]
    if model is not None:
        words += ["--model", str(model)]
    for name, value in settings.items():
        words += [f"--{names.get(name, name)}", _word(value)]
    return shlex.join(words)


def _word(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    options = ",".join(f"{name}={each!r}" for name, each in value.items() if name != "name")
    return f"{value['name']}:{options}" if options else str(value["name"])


def _spec(name: str, value: Any) -> Any:
    """A choice as one would write it: of a component its name, or a mapping."""
    from fpdm.planning.choices import written

    return written(name, value) if value is not None and name in STRATEGIES else value
