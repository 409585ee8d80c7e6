"""What the figures of a diagnosis say, in sentences; each follows by a stated threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from fpdm.diagnosing.diagnosis import Curve, Diagnosis, Finding

CONTRACTS = 1.0
"""The spectral radius below which plain iteration converges."""

HALVED = 0.5
"""A start pays whose residual is at most so many times that of the features."""

NOTICEABLE = 0.01
"""Of the spread of the final samples, what a change must be to be worth an iteration."""

LARGE = 0.5
"""Of the largest effect, what the effect at a timestep must be to be named beside it."""

LOPSIDED = 0.6
"""The share of all effects in one half of the run from which iterations belong there."""

ROUNDED = 4
"""So many times the rounding of the dtype a tolerance must be, for solves to come to it."""

ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24}

FEATURES = "features"


def explain(found: Diagnosis) -> tuple[str, ...]:
    """What follows from a diagnosis: where to iterate, with what, from where, and what to call.

    An iteration contracts where the spectral radius of the median sample is below 1. A solver is
    first that takes the fewest evaluations to the tolerance, in the median of timesteps and
    samples, from where the run starts. A start pays that saves evaluations, or costs none and has
    at most half of the residual that the features have. An iteration is worth something that
    changes the final samples by 1 % of their spread; timesteps are named whose effect is half of
    the largest or more, and an allocation that gives a half of the run more if it has 60 % of all
    effects.

    Args:
        found: the diagnosis.

    Returns:
        A few texts of a sentence or two.
    """
    parts = (_contraction, _singles, _stretch, _rounding, _solvers, _starts, _effects)
    return tuple(sentence for part in parts for sentence in part(found))


def _contraction(found: Diagnosis) -> Iterator[str]:
    """Where the radius of the median sample is below 1."""
    known = [each for each in found.findings if math.isfinite(each.radius.median)]
    if not known:
        yield (
            "The map or its Jacobian is not finite at any timestep looked at: find out first where "
            "inf or NaN comes from."
        )
        return
    inside = [each for each in known if each.radius.median < CONTRACTS]
    outside = [each for each in known if each.radius.median >= CONTRACTS]
    if not outside:
        yield (
            f"The iteration contracts at {_everywhere(found)}: the spectral radius is "
            f"{_range(_radii(inside))} (median of the samples), the factor by which plain "
            f"iteration shrinks the residual in the long run."
        )
        return
    where = f"contracts at {_at(found, inside)}, and not" if inside else "does not contract"
    yield (
        f"The iteration {where} at {_at(found, outside)}, where the spectral radius is "
        f"{_range(_radii(outside))} (median of the samples): plain iteration does not converge "
        f"there. Sample with solver='anderson', or train with jacobian.weight."
    )


def _singles(found: Diagnosis) -> Iterator[str]:
    """Samples that do worse than the median one."""
    inside = [each for each in found.findings if each.radius.median < CONTRACTS]
    worse = [each for each in inside if CONTRACTS <= each.radius.worst < math.inf]
    if worse:
        highest = max(each.radius.worst for each in worse)
        yield (
            f"For single samples it does not contract at {_at(found, worse)}: their radius is up "
            f"to {highest:.2g}."
        )
    lost = [each for each in found.findings if each.radius.worst == math.inf]
    if lost and any(each.radius.median < math.inf for each in found.findings):
        yield f"The Jacobian of some samples is not finite at {_at(found, lost)}."


def _stretch(found: Diagnosis) -> Iterator[str]:
    """A norm above 1 where the radius is below it."""
    inside = [each for each in found.findings if each.radius.median < CONTRACTS]
    norms = [each.norm.median for each in inside if 1 < each.norm.median < math.inf]
    if norms:
        yield (
            f"One evaluation may still stretch a small distance, by a spectral norm of up to "
            f"{max(norms):.2g}: a residual may rise before it falls."
        )


def _rounding(found: Diagnosis) -> Iterator[str]:
    """A tolerance that no solve can come to."""
    if found.tol < ROUNDED * ROUNDING.get(found.dtype, 0.0):
        yield (
            f"States are {found.dtype}, whose rounding is about {ROUNDING[found.dtype]:.0e}: no "
            f"solve can be relied on to come to {found.tol:g}. Take a larger tol, or a wider dtype."
        )


def _solvers(found: Diagnosis) -> Iterator[str]:
    """Which solver comes to the tolerance first, from where the run starts."""
    start = _start(found)
    taken = {name: _over(found, name, start, _reached) for name in found.solvers}
    first = min(taken.values())
    if first == math.inf:
        yield from _none_converges(found)
        return
    winners = [name for name, evals in taken.items() if evals == first]
    others = [f"{name} {_evals(evals, found)}" for name, evals in taken.items() if evals > first]
    rest = f"; {_and(others)}" if others else ""
    verb = "come" if len(winners) > 1 else "comes"
    before = " first" if others else ""
    yield (
        f"{_and(winners)} {verb} to a residual of {found.tol:g}{before}, after {first:g} "
        f"evaluations from `{start}` (median of timesteps and samples){rest}. "
        f"{_advice(winners, found.solver, 'solver')}"
    )
    shares = [(each.curve(winners[0], start).converged, each) for each in found.findings]
    least, where = min(shares, key=lambda share: share[0])
    if least < 1:
        yield (
            f"With {winners[0]} {least:.0%} of the samples converge within {found.evals} "
            f"evaluations at {_at(found, [where])}, the fewest of all timesteps looked at."
        )


def _none_converges(found: Diagnosis) -> Iterator[str]:
    curves = [(curve, each) for each in found.findings for curve in each.curves]
    best, where = min(curves, key=lambda pair: pair[0].least)
    if best.least == math.inf:
        yield "No residual is finite, of any solver: there is no fixed point to come to."
        return
    yield (
        f"No solver comes to a residual of {found.tol:g} within {found.evals} evaluations for half "
        f"of the samples at most timesteps; the lowest is {best.least:.1g}, of {best.solver} from "
        f"`{best.init}` at {_at(found, [where])}. Grant more evals, take a larger tol, or look "
        f"at the curves: where a residual does not fall at all, more evaluations are no help."
    )


def _starts(found: Diagnosis) -> Iterator[str]:
    """Whether a start from past solutions pays."""
    others = [name for name in found.inits if name != FEATURES]
    if FEATURES not in found.inits or not others:
        return
    later = [each for each in found.findings if each.index > 0]
    if not later:
        yield "A single timestep, the first, says nothing about starts from past solutions."
        return
    start = _start(found)
    solver = min(found.solvers, key=lambda name: _over(found, name, start, _reached))

    def of(init: str, figure: Callable[[Finding, Curve], float]) -> float:
        return _middle(figure(each, each.curve(solver, init)) for each in later)

    best = min(others, key=lambda name: of(name, _granted))
    plain, residual = of(FEATURES, _begun), of(best, _begun)
    slow, fast = of(FEATURES, _reached), of(best, _reached)
    if plain == residual == math.inf:
        return
    saved = 0.0 if slow == fast else slow - fast
    figures = (
        f"{solver} starts from a residual of {residual:.2g} in the place of {plain:.2g} of the "
        f"features, and ends with {of(best, _granted):.2g} in the place of "
        f"{of(FEATURES, _granted):.2g} after the iterations granted"
    )
    to = f"to {found.tol:g}"
    if fast == math.inf > slow:
        figures += f"; it does not come {to} within {found.evals} evaluations"
    elif saved == math.inf:
        figures += f"; it comes {to}, which it does not from the features"
    elif saved:
        less = "saves" if saved > 0 else "costs"
        figures += f"; it {less} {abs(saved):g} of {slow:g} evaluations {to}"
    if saved > 0 or (saved == 0 and residual <= HALVED * plain):
        yield f"`{best}` pays: {figures}. {_advice([best], found.init, 'init')}"
    else:
        yield f"`{best}` does not pay: {figures}. {_advice([FEATURES], found.init, 'init')}"


def _effects(found: Diagnosis) -> Iterator[str]:
    """Which timesteps deserve iterations."""
    known = [each for each in found.findings if math.isfinite(each.effect)]
    if not known or not math.isfinite(found.spread):
        yield "The final samples are not finite, so what an iteration is worth cannot be said."
        return
    most = max(known, key=lambda each: each.effect)
    size = f"{most.effect:.2g}"
    if found.spread > 0:
        size += f" ({100 * most.effect / found.spread:.2g}% of their spread)"
    if most.effect < NOTICEABLE * found.spread or most.effect == 0:
        yield (
            f"One more iteration changes the final samples little, by {size} at most, at "
            f"{_at(found, [most])}: spend more on timesteps, with num_inference_steps, before you "
            f"spend it on iterations."
        )
        return
    large = [each for each in known if each.effect >= LARGE * most.effect]
    peak = f" at most, at {_at(found, [most])}" if len(large) > 1 else ""
    yield (
        f"Iterations are worth most at {_at(found, large)}: one more changes the final samples by "
        f"{size}{peak}. {_where_to(found, known)}"
    )


def _where_to(found: Diagnosis, known: Sequence[Finding]) -> str:
    """Which allocation follows from the share of the effects in each half of the run."""
    if len(known) < 2:
        return "There is no other timestep to take them from."
    middle, total = (found.steps - 1) / 2, sum(each.effect for each in known)
    late = sum(
        each.effect * (0.5 if each.index == middle else each.index > middle) for each in known
    )
    share = late / total
    if share >= LOPSIDED:
        return (
            f"{share:.0%} of all effects are in the second half of the run: {_call('increasing')}"
        )
    if share <= 1 - LOPSIDED:
        return (
            f"{1 - share:.0%} of all effects are in the first half of the run: "
            f"{_call('decreasing')}"
        )
    return f"Both halves of the run have about as much of them: {_call('constant')}"


def _call(allocation: str) -> str:
    return f"allocation='{allocation}'."


def _advice(best: Sequence[str], used: str, kind: str) -> str:
    """What to call, unless the run does so already."""
    if used in best:
        return f"The run uses {kind}='{used}'."
    return f"Sample with {kind}='{best[0]}'; the run uses '{used}'."


def _start(found: Diagnosis) -> str:
    """Where solvers are compared from: where the run starts, or else the first that there is."""
    return found.init if found.init in found.inits else found.inits[0]


def _over(
    found: Diagnosis, solver: str, init: str, figure: Callable[[Finding, Curve], float]
) -> float:
    return _middle(figure(each, each.curve(solver, init)) for each in found.findings)


def _reached(_: Finding, curve: Curve) -> float:
    return curve.reached


def _begun(_: Finding, curve: Curve) -> float:
    return curve.median[0]


def _granted(where: Finding, curve: Curve) -> float:
    """The residual at the last evaluation that the run makes."""
    return curve.median[min(where.iterations, len(curve.median)) - 1]


def _middle(figures: Iterable[float]) -> float:
    """Their median; of two in the middle the lower, for they may be inf."""
    ordered = sorted(figures)
    return ordered[(len(ordered) - 1) // 2]


def _radii(findings: Sequence[Finding]) -> list[float]:
    return [each.radius.median for each in findings]


def _range(figures: Sequence[float]) -> str:
    low, high = f"{min(figures):.2f}", f"{max(figures):.2f}"
    return low if low == high else f"{low} to {high}"


def _evals(count: float, found: Diagnosis) -> str:
    return f"does not in {found.evals}" if count == math.inf else f"takes {count:g}"


def _everywhere(found: Diagnosis) -> str:
    if len(found.findings) == 1:
        return f"{_at(found, found.findings)}"
    return f"all {len(found.findings)} timesteps looked at"


def _at(found: Diagnosis, some: Sequence[Finding]) -> str:
    """Timesteps, those that follow one another as a range."""
    places = [index for index, each in enumerate(found.findings) if each in some]
    spans: list[list[int]] = []
    for place in places:
        if spans and place == spans[-1][-1] + 1:
            spans[-1].append(place)
        else:
            spans.append([place])
    named = [f"{found.findings[place].timestep:.0f}" for place in range(len(found.findings))]
    said = [
        named[span[0]]
        if len(span) == 1
        else f"{named[span[0]]}{' and ' if len(span) == 2 else ' to '}{named[span[-1]]}"
        for span in spans
    ]
    return f"timestep{'s' * (len(places) > 1)} {_and(said)}"


def _and(texts: Sequence[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
