"""The way to spend a budget that leaves the least error, by a calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, fields, frozen

from fpdm import plugins
from fpdm.calibration import Calibration, Tried, Way
from fpdm.checks import check_real, check_whole
from fpdm.errors import BudgetError, InvalidValueError
from fpdm.planning.choices import MOST
from fpdm.planning.costs import Costs
from fpdm.planning.fitting import fits
from fpdm.planning.identity import check_identity
from fpdm.sampling import iteration_budget

AS_GOOD = 1.01
"""Times the least error, up to which a way that departs less from the usual one is taken."""
REACH = 1.5
"""Octaves up to which a budget says something of another."""
TINY = 1e-12
WHY = ("iterations", "scheduler", "spacing", "solver", "init", "allocation")
"""Of a way, in the order in which reasons are given."""
STEADY = 0.93
"""Of the seconds asked for, that a plan is made for: a machine is not always equally fast."""


@frozen
class Choice:
    """A way to spend a budget, why it was chosen, and what is expected of it.

    Attributes:
        budget: block passes.
        steps: timesteps.
        way: how the budget is spent.
        error: of the final picture, as it was measured at budgets around this one.
        usual: that of the call without a plan; None where it was not measured.
        seconds: that the run is expected to take; None where nobody asked.
        why: sentences.
    """

    budget: int
    steps: int
    way: Way
    error: float
    usual: float | None
    seconds: float | None
    why: tuple[str, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """Keywords of the pipeline."""
        return {
            "budget": self.budget,
            "num_inference_steps": self.steps,
            **self.way.chosen,
        }

    @property
    def call(self) -> str:
        """The call that one could have written."""
        said = ", ".join(f"{name}={_written(value)}" for name, value in self.settings.items())
        return f"pipe(…, {said})"

    def __str__(self) -> str:
        """The call, and why."""
        return "\n".join([self.call, *self.why])


def plan(
    pipe: Any,
    *,
    budget: int | None = None,
    seconds: float | None = None,
    count: int = 1,
    calibration: Calibration | None = None,
    given: Mapping[str, Any] | None = None,
    guidance_scale: float = 1.0,
) -> Choice:
    """Choose how to spend a budget: timesteps, spacing, scheduler, iterations, solver, start.

    It reads what `fpdm calibrate` measured: no labels and no data are needed.

    Args:
        pipe: an [`FPDMPipeline`][fpdm.FPDMPipeline].
        budget: block passes for the run.
        seconds: in its place, how long the run may take on this machine, as the pipeline is,
            compiled or not. What runs cost is then measured first, once for each `count`.
        count: samples of the run, which its seconds depend on.
        calibration: what was measured of the model; None is the pipeline's own.
        given: what is settled already: keywords of the pipeline among `scheduler`, `spacing`,
            `solver`, `init` and `allocation`.
        guidance_scale: of the run.

    Returns:
        The choice, whose `settings` are keywords of the pipeline.

    Raises:
        BudgetError: the budget pays for no timestep, or the seconds do not.
        InvalidValueError: there is no calibration, it is of another model, or not one of budget and
            seconds is given.
        UnknownNameError: what is settled is not known by that name.

    Examples:
        >>> import fpdm
        >>> from fpdm.planning import plan
        >>> choice = plan(fpdm.FPDMPipeline.digits(), budget=60)
        >>> choice.budget, choice.error < choice.usual
        (60, True)
    """
    if (budget is None) == (seconds is None):
        raise InvalidValueError("budget, seconds: give one of them.")
    known = _calibration_of(pipe, calibration)
    given = {name: value for name, value in (given or {}).items() if value is not None}
    tried = steadied(known.tried)
    ways = _open(tried, given)
    expected = None

    def open_to(way: Way, steps: int) -> bool:
        return steps >= 1 and fits(way, min(steps, MOST), pipe=pipe, calibration=known)

    if seconds is None:
        network, budget = pipe.model, check_whole("budget", budget, minimum=1)
        iteration_budget(
            budget, steps=1, pre_passes=network.pre_passes, post_passes=network.post_passes
        )
        explicit = int(network.pre_passes + network.post_passes)
        best, budget = _least([(each, budget) for each in ways], explicit, open_to)
        steps = min(best.way.steps(budget, explicit=explicit), MOST)
    else:
        check_whole("count", count, minimum=1)
        paid = STEADY * check_real("seconds", seconds, above=0)
        costs = Costs.of(pipe, count=count, guidance_scale=guidance_scale)
        explicit = costs.finals.explicit
        afforded = [(each, costs.budget(each.way, paid, most=MOST)) for each in ways]
        best, budget = _least(afforded, explicit, open_to)
        steps = best.way.steps(budget, explicit=explicit)
        steps, expected = costs.refined(best.way, min(steps, MOST), paid)
        steps = next(fewer for fewer in range(steps, 0, -1) if open_to(best.way, fewer))
        budget = steps * (explicit + best.way.iterations)
    payable = [
        each for each in ways if open_to(each.way, each.way.steps(budget, explicit=explicit))
    ]
    usual = next((each for each in tried if each.way == Way()), None)
    return Choice(
        budget=budget,
        steps=steps,
        way=best.way,
        error=best.error(budget),
        usual=None if usual is None else usual.error(budget),
        seconds=expected,
        why=(
            *_reasons(best, payable, usual, budget=budget, steps=steps),
            *_of_guidance(known, guidance_scale),
        ),
    )


def _calibration_of(pipe: Any, given: Calibration | None) -> Calibration:
    if getattr(pipe.model, "layer", None) is None:
        raise InvalidValueError(
            f"A {type(pipe.model).__name__} has no implicit layer, and so nothing to plan."
        )
    known = pipe.checked_calibration if given is None else given
    if known is None:
        raise InvalidValueError(
            "There is no calibration of this model to plan by: run `fpdm calibrate MODEL`, which "
            "writes one beside it, or set `pipe.calibration`."
        )
    if given is not None:
        check_identity(given, pipe)
    return known


def steadied(tried: Sequence[Tried]) -> list[Tried]:
    """Return ways with errors for which their neighbours speak too.

    A way that is best at one budget by luck is not so at the budgets around it. By how many times
    its error exceeds the least at each budget is averaged, geometrically, over budgets within an
    octave and a half, the near ones most. At budgets at which a way was given up it is taken to
    exceed the least as far as where it was last drawn.

    Args:
        tried: as they were measured.
    """
    budgets = sorted({budget for each in tried for budget in each.budgets})
    least = {
        budget: max(min(each.error(budget) for each in tried if budget in each.budgets), TINY)
        for budget in budgets
    }
    found = []
    for each in tried:
        over: dict[int, float] = {}
        for budget in budgets:
            if budget in each.budgets:
                over[budget] = math.log(max(each.error(budget), TINY) / least[budget])
            elif budget > each.budgets[-1]:
                over[budget] = over[each.budgets[-1]]
        errors = []
        for budget in each.budgets:
            near = {b: max(0.0, 1 - abs(math.log2(b / budget)) / REACH) for b in over}
            mean = sum(near[b] * over[b] for b in over) / sum(near.values())
            errors.append(least[budget] * math.exp(mean))
        found.append(evolve(each, errors=tuple(errors)))
    return found


def _open(tried: Sequence[Tried], given: Mapping[str, Any]) -> list[Tried]:
    """The ways that are left where something is settled already.

    What was not tried with it is taken to be as good as it was with the usual one.
    """
    open_to = [each.name for each in fields(Way) if each.name != "iterations"]
    if unknown := [name for name in given if name not in open_to]:
        raise InvalidValueError(f"{unknown[0]}: a plan says so itself; leave it out.")
    for name, value in given.items():
        same = [each for each in tried if _same(name, getattr(each.way, name), value)]
        tried = same or [
            evolve(each, way=each.way.having(name, value))
            for each in tried
            if getattr(each.way, name) is None or name in ("scheduler", "spacing")
        ]
    return list(tried)


def _same(name: str, tried: Any, given: Any) -> bool:
    """Whether a choice that was tried is the one that is given, however either is written."""
    if tried is None or name in ("scheduler", "spacing"):
        return bool(tried == given)
    return bool(plugins.resolve(name, tried) == plugins.resolve(name, given))


def _least(
    afforded: Sequence[tuple[Tried, int]], explicit: int, open_to: Callable[[Way, int], bool]
) -> tuple[Tried, int]:
    """The way of the least error, of several that are as good the one that departs least."""
    payable = [
        (each, budget)
        for each, budget in afforded
        if open_to(each.way, each.way.steps(budget, explicit=explicit))
    ]
    if not payable:
        raise BudgetError(
            "No way that is open spends so little: give a larger budget or more seconds, or draw "
            "fewer samples."
        )
    least = min(each.error(budget) for each, budget in payable)
    as_good = [pair for pair in payable if pair[0].error(pair[1]) <= AS_GOOD * least]
    return min(as_good, key=lambda pair: (len(pair[0].way.chosen), pair[0].error(pair[1])))


def _of_guidance(known: Calibration, scale: float) -> list[str]:
    if scale == known.guidance_scale:
        return []
    return [
        f"It was calibrated with guidance_scale={known.guidance_scale:g}, and this run has "
        f"{scale:g}: `fpdm calibrate --guidance-scale {scale:g}` would know better."
    ]


def _reasons(
    best: Tried, ways: Sequence[Tried], usual: Tried | None, *, budget: int, steps: int
) -> Iterator[str]:
    """Why it was chosen, in sentences."""
    error = best.error(budget)
    each = f"{budget} block passes are {steps} timesteps of {best.way.iterations} iterations."
    yield each if steps > 1 else f"{budget} block passes are one timestep."
    if usual is not None:
        yield (
            f"Samples end {error:.3g} from those of a long run, "
            f"{_beside(error, usual.error(budget))}."
        )
    for name in WHY:
        value = getattr(best.way, name)
        others = [each for each in ways if each.way.without(name) == best.way.without(name)]
        others = [each for each in others if getattr(each.way, name) != value]
        if others:
            next_best = min(others, key=lambda other: other.error(budget))
            other = getattr(next_best.way, name)
            more = next_best.error(budget) / max(error, TINY) - 1
            shown = f"{name}={_written(value)}" if value is not None else f"The usual {name}"
            instead = _written(other) if other is not None else "the usual one"
            yield f"{shown}: {instead} in its place leaves {more:+.0%}."
    if not best.budgets[0] <= budget <= best.budgets[-1]:
        yield (
            f"It was calibrated from {best.budgets[0]} to {best.budgets[-1]} block passes; beyond, "
            f"this is a guess."
        )


def _beside(error: float, usual: float) -> str:
    """An error beside that of the call without a plan, and with nothing settled."""
    more = error / max(usual, TINY) - 1
    if more > 0.005:
        return f"{more:.0%} more than those of the usual call"
    return f"{-more:.0%} less than without a plan" if more < -0.005 else "as much as without a plan"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return repr(dict(value)) if isinstance(value, Mapping) else repr(value)
