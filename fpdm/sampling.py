"""The loop over timesteps, as a generator: whoever iterates it sees each step."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any

import torch
from attrs import evolve, fields, frozen
from torch import Tensor

from fpdm import plugins
from fpdm.allocator import Allocator, Pool
from fpdm.calibration import Calibration
from fpdm.checks import check_real, check_whole
from fpdm.diffusion.conditions import CONDITION, keyword_of, null_of, told
from fpdm.diffusion.guidance import Guidance
from fpdm.diffusion.stepping import Scheduler, stepping
from fpdm.diffusion.timestep import Advance, Timestep, Told
from fpdm.errors import BudgetError, InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, InitStrategy, Network
from fpdm.layer import FixedPointLayer
from fpdm.plugins import Spec
from fpdm.runtime.runs import in_run
from fpdm.solution import Moment, Solution, Visited
from fpdm.tracing import Started


@frozen(eq=False)
class StepRecord:
    """What one timestep of a sampling run cost, and how its solve ended.

    Attributes:
        index: in sampling order; 0 is the noisiest.
        steps: how many there are.
        timestep: of the diffusion, ().
        iterations: granted to the implicit layer, and made; with a tolerance, the most that a
            sample took.
        passes: block passes of this timestep, explicit layers included; likewise.
        residual: relative, at the end of the solve, (B,), or (2 B,) where it was guided; None if
            the network is explicit.
        status: one [`Status`][fpdm.Status] code for each of them, of the same shape.
        counts: with a tolerance, the iterations that each of them took, of the same shape, int64;
            None without one.
    """

    index: int
    steps: int
    timestep: Tensor
    iterations: int
    passes: int
    residual: Tensor | None
    status: Tensor | None
    counts: Tensor | None

    @property
    def average_passes(self) -> float:
        """Block passes that a sample took on average; of one that is guided, of its two halves."""
        if self.counts is None or not len(self.counts):
            return self.passes
        return self.passes - self.iterations + self.counts.double().mean().item()


@frozen(eq=False)
class Step(StepRecord):
    """One timestep of a sampling run: its record, and what it made.

    Attributes:
        sample: the images after it, (B, C, H, W).
        solution: of the implicit layer, for B samples or 2 B where it was guided; None if explicit.
    """

    sample: Tensor
    solution: Solution | None

    def record(self) -> StepRecord:
        """What is worth keeping of a step when its images and states are not."""
        return StepRecord(**{kept.name: getattr(self, kept.name) for kept in fields(StepRecord)})


def iteration_budget(
    budget: int,
    *,
    steps: int,
    pre_passes: int,
    post_passes: int,
    implicit: bool = True,
    order: int = 1,
) -> int:
    """The iterations that are left of a budget of block passes when the explicit layers are paid.

    Args:
        budget: block passes for the whole run.
        steps: timesteps, at each of which the network is called once.
        pre_passes: block passes before the implicit layer at each timestep.
        post_passes: block passes after it.
        implicit: whether there are iterations to pay for at all.
        order: of the scheduler, which makes about so many timesteps of one inference step.

    Raises:
        BudgetError: the budget cannot pay for the steps; the message says what it can pay for.
        InvalidValueError: `budget` or `steps` is no whole number ≥ 1.

    Examples:
        >>> iteration_budget(60, steps=15, pre_passes=1, post_passes=1)
        30
    """
    check_whole("steps", steps, minimum=1)
    check_whole("budget", budget, minimum=1)
    explicit = pre_passes + post_passes
    least = explicit + int(implicit)
    left = budget - steps * explicit
    if budget < steps * least:
        costs = f"({pre_passes} pre + {post_passes} post + 1 iteration)" if implicit else explicit
        affordable = (budget // least + order - 1) // order
        advice = f"num_inference_steps ≤ {affordable} or " if affordable else ""
        raise BudgetError(
            f"budget={budget} cannot pay for {steps} steps: {steps} × {costs} = {steps * least} "
            f"block passes. Use {advice}budget ≥ {steps * least}."
        )
    if left and not implicit:
        raise BudgetError(
            f"budget={budget} does not divide into {steps} steps of {explicit} block passes, and "
            f"this network has no iterations to spend the rest on. Use budget={steps * explicit}."
        )
    return left


def sample(
    model: Network,
    scheduler: Scheduler,
    latents: Tensor,
    class_labels: Tensor | None = None,
    *,
    condition: Tensor | None = None,
    budget: int,
    allocation: Spec | AllocationPolicy | None = None,
    init: Spec | InitStrategy | None = None,
    solver: Spec | FixedPointSolver | None = None,
    tol: float | None = None,
    guidance_scale: float = 1.0,
    guidance_channels: int | None = None,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    eta: float | None = None,
    negate: bool | None = None,
    generator: torch.Generator | list[torch.Generator] | None = None,
    advance: Advance | None = None,
    calibration: Calibration | None = None,
) -> Generator[Step, Tensor | None, None]:
    """Sample, yielding each step; the images are in the last one.

    All state of the run is in this generator, which works on a copy of the scheduler: two runs
    cannot see each other's. Iterate it under `torch.no_grad()` unless you want to differentiate.
    What is sent into it, a tensor like `sample`, takes the place of the images of the last step; if
    it is detached, a new graph begins with it.

    Args:
        model: any [`Network`][fpdm.Network].
        scheduler: of diffusers, its timesteps set.
        latents: the noise to begin with, (B, C, …), in the scale of the scheduler.
        class_labels: (B,), int64; None of a network without classes, and of one that has a label
            for none.
        condition: in their place, (B, K) or (B, T, K), of a network with a `condition_size`; None
            where it has something that stands for none.
        budget: block passes for the whole run, spent exactly; the two halves of a guided batch
            count once. With `tol` it is what the samples may cost on average.
        allocation: iterations over timesteps, by name, by mapping with options, or an object; None
            is `constant`. So are the next two.
        init: where solves start; None is the network's own.
        solver: what iterates; None is the network's own.
        tol: the relative residual at which a sample stops, and leaves the batch until the next
            timestep. What it has not spent goes to later timesteps, for samples that have not
            stopped: how many iterations one is granted depends on the others in its batch.
        guidance_scale: classifier-free guidance; 1 is none. The conditional and the unconditional
            prediction come from one doubled batch.
        guidance_channels: how many channels of the prediction are guided; None is all.
        guidance_interval: from where to where in the run it acts, as fractions of its timesteps.
        eta: how much of the noise of ancestral sampling DDIM draws, from 0 to 1; None is what the
            scheduler does by itself.
        negate: hand the negated prediction to the scheduler: for networks that predict `x0 - noise`
            with a scheduler that expects `noise - x0`, or the other way round. None does so where
            the network says that it predicts the one, and the scheduler expects the other.
        generator: for schedulers that draw noise; or a list of them, one for each image.
        advance: what computes a timestep; a [`Compiled`][fpdm.compiling.Compiled] in place of None.
        calibration: what was measured of the model, for allocations that want it.

    Raises:
        BudgetError: the budget cannot be spent on the scheduler's timesteps.
        InvalidValueError: guidance, or what the scheduler expects, does not fit the network, the
            scheduler does not know `eta`, `tol` is not positive, or there is not one label or
            condition for each image.

    Yields:
        A `Step` for each timestep.
    """
    said = told(model, class_labels, condition, like=latents)
    guidance = Guidance(guidance_scale, guidance_channels, guidance_interval)
    _check_guidance(guidance, model, channels=latents.shape[1])
    layer: FixedPointLayer | None = getattr(model, "layer", None)
    given = {"allocation": allocation, "init": init, "solver": solver}
    chosen: dict[str, Any] = {
        kind: plugins.resolve(kind, v) for kind, v in given.items() if v is not None
    }
    if tol is not None:
        check_real("tol", tol, above=0)
    if layer is None and (chosen or tol is not None):
        named = ", ".join([*chosen, *(["tol"] if tol is not None else [])])
        raise InvalidValueError(
            f"{named}: a {type(model).__name__} has no implicit layer to iterate; leave it out."
        )
    iterations = iteration_budget(
        budget,
        steps=len(scheduler.timesteps),
        pre_passes=model.pre_passes,
        post_passes=model.post_passes,
        implicit=layer is not None,
        order=getattr(scheduler, "order", 1),
    )
    taken = stepping(
        scheduler,
        generator,
        device=latents.device,
        negate=negate,
        predicted=getattr(model, "prediction_type", None),
        eta=eta,
    )
    solving = None
    if layer is not None:
        allocator = Allocator(
            chosen.get("allocation") or plugins.resolve("allocation", "constant"),
            budget=iterations,
            steps=len(taken.moments),
            moments=taken.moments,
            calibration=calibration,
        )
        iterating: FixedPointSolver = chosen.get("solver", layer.solver)
        solving = _Solving(
            allocator,
            chosen.get("init", layer.init),
            Started(iterating) if allocator.policy.watches else iterating,
            tol,
        )
    run = Timestep(model, taken, guidance, Told(model, taken.timesteps, said))
    return _steps(run, latents, solving, advance or Timestep.advance)


def _check_guidance(guidance: Guidance, model: Network, *, channels: int) -> None:
    if guidance.scale != 1 and null_of(model) is None:
        said = "condition" if keyword_of(model) == CONDITION else "class"
        raise InvalidValueError(
            f"guidance_scale={guidance.scale:g}: this {type(model).__name__} has no {said} that "
            f"stands for none, because it was trained without dropping any; use 1."
        )
    if guidance.channels is not None and guidance.channels > channels:
        raise InvalidValueError(
            f"guidance_channels={guidance.channels}: the network predicts {channels} channels."
        )


@frozen(eq=False)
class _Solving:
    """How the implicit layer of a network is solved in one run."""

    allocator: Allocator
    init: InitStrategy
    solver: FixedPointSolver
    tol: float | None

    def options(self, granted: int, history: tuple[Visited, ...], moment: Moment) -> dict[str, Any]:
        """What a network is told of a solve."""
        return {
            "evals": granted,
            "history": history,
            "moment": moment,
            "solver": self.solver,
            "init": self.init,
            **({} if self.tol is None else {"tol": self.tol}),
        }


def _steps(
    run: Timestep,
    x: Tensor,
    solving: _Solving | None,
    advance: Advance,
) -> Generator[Step, Tensor | None, None]:
    model, taken, guidance = run.model, run.stepping, run.guidance
    count, batch = len(taken.timesteps), len(x)
    history: tuple[Visited, ...] = ()
    kept: dict[Hashable, Any] = {}
    pool = Pool()
    for index, (timestep, moment) in enumerate(zip(taken.timesteps, taken.moments, strict=True)):
        doubled = guidance.acts(index, steps=count)
        planned, made, options = 0, 0, {}
        if solving is not None:
            history = tuple(_regroup(past, 2 * batch if doubled else batch) for past in history)
            planned = made = solving.allocator.next(history[-1].solution if history else None)
            _hand_over(history)
            granted = planned if solving.tol is None else pool.grant(planned)
            options = solving.options(granted, history, moment)
        with in_run(kept):
            x, denoised = advance(run, x, index, doubled=doubled, **options)
        solution = denoised.solution
        if solving is not None and solution is not None:
            past = (_without_carry(older) for older in history)
            history = (*past, denoised.visited(moment))[-max(solving.init.lookback, 1) :]
            solution = _bare(solution)
            if solving.tol is not None:
                made = solution.evals
                pool.settle(planned, solution.spent)
        replacement = yield Step(
            index=index,
            steps=count,
            timestep=timestep,
            iterations=made,
            passes=model.pre_passes + made + model.post_passes,
            residual=None if solution is None else solution.residual,
            status=None if solution is None else solution.status,
            counts=None if solution is None else solution.counts,
            sample=x,
            solution=solution,
        )
        if replacement is not None:
            x = replacement
            if torch.is_grad_enabled() and not x.requires_grad:
                history = tuple(_without_graph(past) for past in history)
                taken.forget_graph()


def _hand_over(history: tuple[Visited, ...]) -> None:
    """Let a solver overwrite what it has carried: a run goes on from it once."""
    carry = history[-1].solution.carry if history else None
    if hand_over := getattr(carry, "hand_over", None):
        hand_over()


def _without_graph(visited: Visited) -> Visited:
    """A past timestep that a later one does not differentiate."""
    solution = visited.solution
    detach = getattr(solution.carry, "detach", None)
    solution = evolve(
        solution,
        value=solution.value.detach(),
        carry=detach() if detach is not None else solution.carry,
    )
    return evolve(visited, features=visited.features.detach(), solution=solution)


def _without_carry(visited: Visited) -> Visited:
    bare = _bare(visited.solution)
    return visited if bare is visited.solution else evolve(visited, solution=bare)


def _bare(solution: Solution) -> Solution:
    """A solution without what its solver carries, which belongs to the run, and may be large."""
    return solution if solution.carry is None else evolve(solution, carry=None)


def _regroup(visited: Visited, samples: int) -> Visited:
    """A past timestep with as many samples as the next one has.

    Where guidance ends, the conditional half goes on; where it begins, both halves go on from the
    conditional solution. What a solver carries fits its own batch only, and is dropped.
    """
    solution, found = visited.solution, len(visited.features)
    if found == samples:
        return visited

    def fit(part: Tensor) -> Tensor:
        return part[:samples] if samples < found else torch.cat([part, part])

    fitting = evolve(
        solution,
        value=fit(solution.value),
        residual=fit(solution.residual),
        status=fit(solution.status),
        absolute_residual=fit(solution.absolute_residual),
        trace=None,
        carry=None,
        counts=None if solution.counts is None else fit(solution.counts),
        start_residual=None if solution.start_residual is None else fit(solution.start_residual),
    )
    return evolve(visited, features=fit(visited.features), solution=fitting)
