"""Finding out where the iterations of a network contract, and where they are worth making."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from fpdm import plugins
from fpdm.checks import check_real, check_whole
from fpdm.diagnosing.diagnosis import Diagnosis, Finding
from fpdm.diagnosing.looking import Looking
from fpdm.diagnosing.runs import Runs, check_images, runs_of
from fpdm.diffusion.wanted import Wanted, wanted
from fpdm.drawing.asked import asked
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, InitStrategy
from fpdm.pipeline import FPDMPipeline
from fpdm.plugins import Spec

NUM = 16
"""Samples where nothing says how many."""

MOST = 16
"""Timesteps that are looked at, of a run that has more."""

SOLVERS = ("naive", "anderson", "broyden")
INITS = ("features", "reuse", "extrapolate")

Kind = TypeVar("Kind")
Compared = Sequence[Spec | Kind] | Mapping[str, Spec | Kind]
"""Components: their names, mappings with options, or objects; or these by what to call them."""

Progress = Callable[[int, int], None]
"""Is told how much is done, and of how much."""


@torch.no_grad()
def diagnose(
    pipe: FPDMPipeline,
    *,
    class_labels: Iterable[int | str] | Tensor | None = None,
    condition: Any = None,
    images: Tensor | None = None,
    num: int | None = None,
    budget: int | None = 60,
    num_inference_steps: int | None = None,
    spacing: str | float | None = None,
    scheduler: Any = None,
    solver: Spec | FixedPointSolver | None = None,
    allocation: Spec | AllocationPolicy | None = None,
    init: Spec | InitStrategy | None = None,
    guidance_scale: float = 1.0,
    solvers: Compared[FixedPointSolver] = SOLVERS,
    inits: Compared[InitStrategy] = INITS,
    evals: int = 24,
    tol: float = 1e-3,
    most: int = MOST,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    """Find out where a fixed-point network contracts, which solver suits it, and what pays.

    It goes along a run of the pipeline, and looks at the fixed-point problem of each timestep: how
    every solver gets on from every start, the Jacobian at the solution, and how far the solution
    has moved. Then it runs again, with one more iteration at a single timestep, for each of them.
    The pipeline is left as it is.

    Args:
        pipe: of a network with an implicit layer.
        class_labels: (B,) numbers or names; None is every class in turn.
        condition: in their place, (B, K) or (B, T, K), for a network that takes one.
        images: real samples of the network, (B, C, …), scaled latents where it has a vae: they are
            noised to each timestep, and the problems are theirs. None looks at those that the run
            itself meets. What an iteration changes in the final samples is measured on runs.
        num: how many samples; None is as many as there are labels, conditions or images, or 16.
        budget: block passes of the run; None spends the model's own number of iterations at each
            of the timesteps.
        num_inference_steps: timesteps; None makes as many as leave two iterations each.
        spacing: where the timesteps lie, as of the pipeline.
        scheduler: by name, or an object; None is the pipeline's own.
        solver: of the run: by name, by mapping with options, or an object; None is the model's own.
        allocation: likewise; None is `constant`.
        init: likewise; None is the model's own.
        guidance_scale: classifier-free guidance; 1 is none. Under guidance each half of the
            doubled batch counts as samples.
        solvers: those that are compared at each timestep, each in the same ways; as a mapping, by
            what they are called.
        inits: likewise. Those that start from past solutions have those of the run.
        evals: evaluations of `f` that each of them is granted, ≥ 1.
        tol: the relative residual that counts as converged.
        most: at how many timesteps to look at most; they are spread evenly over the run.
        seed: of the noise.
        progress: is told how many parts of the work are done, and of how many.

    Returns:
        Plain numbers: medians over the samples, at each timestep looked at.

    Raises:
        BudgetError: the budget cannot be spent on the timesteps.
        InvalidValueError: the network has no implicit layer, or an argument is not allowed.
        UnknownNameError: a component, a scheduler or a class is not known by that name.

    Examples:
        >>> import fpdm
        >>> from fpdm.diagnosing import diagnose
        >>> pipe = fpdm.FPDMPipeline.digits()
        >>> found = diagnose(pipe, num=4, budget=16, evals=12, solvers=["anderson"])
        >>> [round(each.timestep) for each in found.findings]
        [999, 578, 242, 24]
        >>> all(each.radius.median < 1 for each in found.findings)
        True
    """
    _check(pipe, seed=seed, tol=tol, evals=evals, most=most)
    compared = _named("solver", solvers), _named("init", inits)
    told = _told(pipe, class_labels, condition, images, num)
    runs = runs_of(
        pipe,
        told,
        images=images,
        seed=seed,
        budget=budget,
        steps=num_inference_steps,
        spacing=spacing,
        scheduler=scheduler,
        solver=solver,
        allocation=allocation,
        init=init,
        guidance_scale=guidance_scale,
    )
    places = _spread_evenly(len(runs.moments), most)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, 2 * len(places))

    counts, drawn = _drawn(runs)
    looking = Looking(*compared, places=places, evals=evals, tol=tol, seed=seed, tell=tell)
    looking.follow(runs, counts)
    effects = _effects(runs, counts, drawn, places, tell)
    return Diagnosis(
        network=type(runs.network).__name__,
        solver=_name(runs.solver),
        init=_name(runs.init),
        allocation=_name(runs.allocation),
        dtype=str(runs.network.dtype).removeprefix("torch."),
        budget=runs.budget,
        steps=len(counts),
        num=told.count,
        guided=guidance_scale != 1,
        real=images is not None,
        seed=seed,
        evals=evals,
        tol=float(tol),
        spread=_deviation(drawn),
        findings=tuple(
            Finding(
                index=place,
                timestep=float(runs.moments[place].timestep or 0.0),
                iterations=counts[place],
                effect=effect,
                **looking.found[place],
            )
            for place, effect in zip(places, effects, strict=True)
        ),
    )


def _check(pipe: Any, *, seed: int, tol: float, **least_one: int) -> None:
    """Check what needs no run."""
    if not isinstance(pipe, FPDMPipeline):
        raise InvalidValueError(
            f"pipe is a {type(pipe).__name__}: must be a pipeline, such as FPDMPipeline.digits()."
        )
    if getattr(pipe.model, "layer", None) is None:
        raise InvalidValueError(
            f"A {type(pipe.model).__name__} has no implicit layer, so there is no iteration to "
            f"diagnose: give a fixed-point network, such as an FPDiT."
        )
    for name, value in least_one.items():
        check_whole(name, value, minimum=1)
    check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
    check_real("tol", tol, above=0)


def _told(pipe: Any, class_labels: Any, condition: Any, images: Any, num: int | None) -> Wanted:
    """How many samples, and of what."""
    if images is not None:
        check_images(images, pipe.sample_shape)
        if num is not None:
            raise InvalidValueError("images, num: give one of them.")
    given: dict[str, Any] = {"class_labels": class_labels, "condition": condition}
    if all(value is None for value in given.values()):
        if images is not None:
            num = len(images)
        else:
            count = NUM if num is None else check_whole("num", num, minimum=1)
            given |= asked(pipe, None).of(range(count))
            num = given.pop("num_images", None)
    read = wanted(pipe.model, pipe.classes, **given, num=num, each=1, device=pipe.model.device)
    if not read.count:
        raise InvalidValueError("condition holds none: must be (B, …) with B ≥ 1.")
    if images is not None and read.count != len(images):
        raise InvalidValueError(
            f"images are {len(images)}, and classes or conditions are {read.count}: must be as "
            f"many."
        )
    return read


def _named(kind: str, given: Any) -> dict[str, Any]:
    """Components by what they are called."""
    if isinstance(given, Mapping):
        pairs = [(str(name), each) for name, each in given.items()]
    elif isinstance(given, Iterable):
        several = [given] if isinstance(given, str) else given
        pairs = [(_written(each), each) for each in several]
    else:
        pairs = []
    if not pairs:
        raise InvalidValueError(f"{kind}s={given!r}: must be a list of one {kind} or more.")
    found: dict[str, Any] = {}
    for name, each in pairs:
        if name in found:
            raise InvalidValueError(f"{kind}s: {name} is given twice.")
        found[name] = plugins.resolve(kind, each)
    return found


def _written(spec: Any) -> str:
    """A component as it is written on the command line, or as it shows itself."""
    if not isinstance(spec, Mapping):
        return spec if isinstance(spec, str) else repr(spec)
    options = ",".join(f"{name}={value}" for name, value in spec.items() if name != "name")
    return f"{spec.get('name')}:{options}" if options else str(spec.get("name"))


def _name(component: Any) -> str:
    return str(getattr(component, "name", type(component).__name__))


def _spread_evenly(steps: int, most: int) -> tuple[int, ...]:
    """At most so many of the timesteps, the first and the last among them; by index."""
    if most == 1 or steps == 1:
        return ((steps - 1) // 2,)
    shown = min(steps, most)
    return tuple(round(i * (steps - 1) / (shown - 1)) for i in range(shown))


def _drawn(runs: Runs, counts: tuple[int, ...] | None = None) -> tuple[tuple[int, ...], Tensor]:
    """The iterations of each timestep of a run, and its final samples, (B, C, …)."""
    made, drawn = [], torch.empty(0)
    for step in runs.follow(counts=counts):
        made.append(step.iterations)
        drawn = step.sample
    return tuple(made), drawn


def _effects(
    runs: Runs,
    counts: tuple[int, ...],
    drawn: Tensor,
    places: tuple[int, ...],
    tell: Callable[[], None],
) -> list[float]:
    """What one more iteration at each of some timesteps changes in the final samples."""
    found = []
    for place in places:
        more = tuple(count + (index == place) for index, count in enumerate(counts))
        _, other = _drawn(runs, more)
        found.append(_apart(drawn, other))
        tell()
    return found


def _apart(one: Tensor, other: Tensor) -> float:
    """The root of the mean square difference of the samples that are finite; NaN if none is."""
    gap = (other.double() - one.double()).flatten(1)
    kept = gap[gap.isfinite().all(dim=1)]
    return float(kept.square().mean().sqrt()) if len(kept) else math.nan


def _deviation(samples: Tensor) -> float:
    """The standard deviation of all numbers of the samples that are finite; NaN if none is."""
    rows = samples.double().flatten(1)
    kept = rows[rows.isfinite().all(dim=1)]
    return float(kept.std(correction=0)) if len(kept) else math.nan
