"""`fpdm diagnose`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from fpdm.checks import check_real, check_whole
from fpdm.cli import console, progress
from fpdm.cli.components import Several, Whole, component
from fpdm.cli.devices import check_device
from fpdm.cli.files import Place, load_pipeline
from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from fpdm.diagnosing import Diagnosis, Finding

EXAMPLES = (
    "fpdm diagnose",
    "fpdm diagnose runs/digits --budget 60 --data digits",
    "fpdm diagnose runs/digits --solvers naive anderson:memory=8 --inits reuse --evals 40",
)
COLUMNS = ("timestep", "iterations", "radius", "worst", "norm", "moved", "converge", "effect")


def diagnose(
    model: Place | None = None,
    /,
    *,
    budget: Whole = 60,
    num_inference_steps: Annotated[
        Whole | None, Parameter(name=["--steps", "--num-inference-steps"])
    ] = None,
    spacing: str | None = None,
    scheduler: str | None = None,
    solver: str | None = None,
    allocation: str | None = None,
    init: str | None = None,
    guidance_scale: float = 1.0,
    num: Whole = 16,
    classes: Several = None,
    conditions: Place | None = None,
    data: str | None = None,
    solvers: Several = None,
    inits: Several = None,
    evals: Whole = 24,
    tol: float = 1e-3,
    most: Whole = 16,
    seed: Whole = 0,
    out: Place = Path("diagnosis"),
    device: str | None = None,
) -> None:
    """Find out where the iterations of a network contract, and which timesteps deserve them.

    It goes along a run of the budget. At each timestep it lets every solver go on from every start,
    looks at the Jacobian at the solution, and runs again with one iteration more. The figures are
    medians of the samples.

    In the table, *radius* is by what plain iteration shrinks the residual in the long run, *worst*
    the largest of the samples, and *norm* what one evaluation may stretch a distance by; *moved*
    is how far the solution is from the one before; *converge* is the share of the samples that come
    to the tolerance with the best of the solvers and starts; *effect* is what one more iteration
    changes in the final samples. What follows from it is said below. The folder gets
    `diagnosis.json` and `diagnosis.png`.

    Args:
        model: a folder that `fpdm train` or `fpdm convert` wrote; the digits of the package if not
            given.
        budget: transformer-block passes of the run, explicit layers included.
        num_inference_steps: timesteps; as many as leave two iterations each if not given.
        spacing: where the timesteps lie, as of `fpdm sample`.
        scheduler: what steps from timestep to timestep; the model's own if not given.
        solver: of the run, `name` or `name:option=value,...`; the model's own if not given.
        allocation: of the run, likewise.
        init: of the run, likewise.
        guidance_scale: classifier-free guidance; 1 is none.
        num: samples.
        classes: of what, in turn, by name or else by number; every class of the model if not given.
        conditions: in the place of classes, for a model that takes a condition: a `.npy` or `.npz`
            file of them, (N, K) or (N, T, K), in turn.
        data: real samples, which are noised to each timestep: a folder of images, an `.npz`, or
            the name of a data set; the run's own noisy samples if not given.
        solvers: that are compared; `naive`, `anderson` and `broyden` if not given.
        inits: likewise; `features`, `reuse` and `extrapolate` if not given.
        evals: evaluations that each solve is granted.
        tol: the relative residual that counts as converged.
        most: at how many timesteps of the run to look at most.
        seed: of the noise.
        out: the folder to write to; a diagnosis that is in it is replaced.
        device: where to compute, such as `cpu` or `cuda`; the accelerator that PyTorch finds, or
            else the CPU, if not given.
    """
    from fpdm.cli.numbers import read_spacing
    from fpdm.runtime.processes import processes

    check_whole("num", num, minimum=1)
    check_real("guidance_scale", guidance_scale, minimum=0)
    named = {"--classes": classes, "--conditions": conditions, "--data": data}
    if len(given := [name for name, value in named.items() if value is not None]) > 1:
        raise InvalidValueError(f"{', '.join(given)}: give one of them.")
    if classes == []:
        raise InvalidValueError("--classes: must be followed by a number or a name, or by several.")
    if out.exists() and not out.is_dir():
        raise InvalidValueError(f"--out {out}: is a file; must be a folder.")
    options = {
        "budget": budget,
        "num_inference_steps": num_inference_steps,
        "spacing": read_spacing(spacing),
        "scheduler": scheduler,
        "solver": component("solver", solver),
        "allocation": component("allocation", allocation),
        "init": component("init", init),
        "guidance_scale": guidance_scale,
        "evals": evals,
        "tol": tol,
        "most": most,
        "seed": seed,
        **_compared("solver", solvers),
        **_compared("init", inits),
    }
    place = None if device is None else check_device(device)
    pipe = load_pipeline(model)
    samples = _wanted(pipe, num, classes, conditions) if data is None else _real(pipe, data, num)
    pipe.to(place or processes().device)
    found = _follow(pipe, **samples, **options)
    _show(found)
    _write(found, out)


def _compared(kind: str, texts: list[str] | None) -> dict[str, Any]:
    """What is compared, each by what was written."""
    if texts is None:
        return {}
    if not texts:
        raise InvalidValueError(f"--{kind}s: must be followed by a name, or by several.")
    for text in texts:
        if texts.count(text) > 1:
            raise InvalidValueError(f"--{kind}s: {text} is given twice.")
    return {f"{kind}s": {text: component(kind, text) for text in texts}}


def _wanted(
    pipe: Any, num: int, classes: list[str] | None, conditions: Path | None
) -> dict[str, Any]:
    """What the samples are to be."""
    from fpdm.cli.wanted import wanted

    asked, _ = wanted(pipe, classes or None, conditions, num=num, each=None, few=False)
    given = asked.of(range(num))
    return {"num": num} if "num_images" in given else given


def _real(pipe: Any, data: str, num: int) -> dict[str, Any]:
    """Real samples evenly spread over a data set, with their classes or conditions."""
    import torch

    from fpdm.cli.judged import open_samples
    from fpdm.diffusion.conditions import CONDITION, LABELS, keyword_of

    shape = pipe.sample_shape
    opened: Any = open_samples(data, size=shape[-1] if len(shape) == 3 else None).data
    if not hasattr(opened, "batch"):
        raise InvalidValueError(f"--data {data}: holds statistics; must hold samples.")
    count = min(num, len(opened))
    places = torch.linspace(0, len(opened) - 1, count).round().long()
    batch = opened.batch(places, torch.zeros_like(places))
    told = keyword_of(pipe.model)
    given: dict[str, Any] = {"images": batch.images}
    if told == LABELS and batch.labels is not None and opened.shape.num_classes:
        given[LABELS] = batch.labels
    if told == CONDITION and batch.condition is not None:
        given[CONDITION] = batch.condition
    return given


def _follow(pipe: Any, **given: Any) -> Diagnosis:
    """Diagnose under a bar."""
    from fpdm.diagnosing import diagnose

    with progress.bar(desc="diagnose", unit="look") as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return diagnose(pipe, **given, progress=tell)


def _show(found: Diagnosis) -> None:
    from fpdm.diagnosing import explain

    samples = "real samples" if found.real else "samples"
    console.table(
        f"{found.network}: {found.budget} block passes over {found.steps} timesteps, {found.num} "
        f"{samples}",
        COLUMNS,
        [_line(each) for each in found.findings],
    )
    for sentence in explain(found):
        console.say(f"- {sentence}")


def _line(finding: Finding) -> tuple[str, ...]:
    return (
        f"{finding.timestep:.0f}",
        str(finding.iterations),
        _number(finding.radius.median),
        _number(finding.radius.worst),
        _number(finding.norm.median),
        "–" if finding.distance is None else _number(finding.distance),
        f"{max(curve.converged for curve in finding.curves):.0%}",
        f"{finding.effect:.1e}" if math.isfinite(finding.effect) else "–",
    )


def _number(figure: float) -> str:
    return f"{figure:.2f}" if math.isfinite(figure) else "–"


def _write(found: Diagnosis, out: Path) -> None:
    from fpdm.diagnosing.pictures import draw
    from fpdm.runtime.plotting import can_plot
    from fpdm.runtime.storage import naming

    with naming(out):
        out.mkdir(parents=True, exist_ok=True)
    written = [out / "diagnosis.json"]
    found.write(written[0])
    if can_plot():
        written.append(out / "diagnosis.png")
        draw(found, written[-1])
    else:
        console.note("there is no picture: it needs matplotlib, of the extra `plot`.")
    console.say(f"Wrote {' and '.join(path.name for path in written)} to {out}.")
