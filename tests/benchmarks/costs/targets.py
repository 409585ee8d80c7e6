"""What the figures should be, and whether they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import ge, le

from attrs import frozen

from tests.benchmarks.costs import counting, growing, pipelines, solving
from tests.benchmarks.costs.figures import Figure, Report, number
from tests.benchmarks.tables import head, row

CPU, CUDA = "cpu", "cuda"
COMPILED = pipelines.COMPILED
HOLDS = {"≤": le, "≥": ge}


@frozen
class Found:
    """The number that a target is about, and where it was found."""

    value: float
    where: str = ""


@frozen
class Target:
    """A bound on what is measured.

    Attributes:
        name: what is bounded.
        sense: `≤` or `≥`.
        bound: that it should keep.
        measure: looks it up in a report; None where it was not measured.
        device: where it holds; empty for all.
    """

    name: str
    sense: str
    bound: float
    measure: Callable[[Report], Found | None]
    device: str = ""


@frozen
class Verdict:
    """A target, and what came out.

    Attributes:
        target: it.
        found: None where nothing was measured.
        ok: whether it holds; None where nothing was measured.
    """

    target: Target
    found: Found | None
    ok: bool | None

    @property
    def said(self) -> str:
        return {True: "ok", False: "not ok", None: "not measured"}[self.ok]


def judge(report: Report) -> list[Verdict]:
    """Every target, with what a report has of it."""
    verdicts = []
    for target in targets():
        here = target.device in ("", report.setting["device"])
        found = target.measure(report) if here else None
        ok = HOLDS[target.sense](found.value, target.bound) if found else None
        verdicts.append(Verdict(target, found, ok))
    return verdicts


def listed(report: Report, before: Report | None = None) -> Iterator[str]:
    """What it should be, what it is, and whether that is ok; as a table."""
    past = judge(before) if before else []
    yield from head("what", "should be", "is", *["was"] * bool(past), "")
    for index, each in enumerate(judge(report)):
        target, elsewhere = each.target, each.target.device
        said = each.said
        if each.ok is None and elsewhere not in ("", report.setting["device"]):
            said = f"is looked at on {elsewhere}"
        was = [_shown(past[index].found)] if past else []
        found_at = each.found.where if each.found else ""
        where = f" ({found_at})" if found_at not in target.name else ""
        should = f"{target.sense} {number(target.bound)}"
        yield row(target.name + where, should, _shown(each.found), *was, said)


def targets() -> Iterator[Target]:
    """All of them, in the order of the sections."""
    yield from _on_cpu()
    yield from _on_cuda()
    yield from _counted()
    for solver in ("naive", "default"):
        least = _least(growing.TIME, f"*{solver}*")
        yield Target(f"R² of time against budget, {solver}", "≥", 0.99, least)


def _on_cpu() -> Iterator[Target]:
    for case, naive, default in (("S/2, batch 8, * × 10", 1.03, 1.08), ("digits, *", 1.10, 1.35)):
        size = case.replace("* × 10", "20 × 10").replace("*", "batch 16, 15 × 2")
        for what, bound in (("naive", naive), ("default", default)):
            name = f"{size}, {what}, over the straight loop"
            yield Target(name, "≤", bound, _ratio(case, what), CPU)
    beyond = _quotient(
        (solving.SECTION, "*", "anderson"), (solving.SECTION, "*", f"{solving.THEIRS}anderson")
    )
    yield Target("time of Anderson beyond f, over torchdeq's", "≤", 0.35, beyond, CPU)


def _on_cuda() -> Iterator[Target]:
    section, loop = pipelines.SECTION, pipelines.LOOP
    large, small, dit = "XL/2, batch 16, 140 × 2", "S/2, batch 8, 140 × 2", "DiT XL/2, *"
    name = f"{large}, default, over the straight loop"
    yield Target(name, "≤", 1.5, _ratio(large, "default"), CUDA)
    for what, bases in {
        f"{large}, default, compiled, over the compiled straight loop": (
            *(1.10, (section, large, "default" + COMPILED), (section, large, loop + COMPILED)),
        ),
        f"{small}, default, compiled, over the straight loop": (
            *(0.6, (section, small, "default" + COMPILED), (section, small, loop)),
        ),
        f"{large}, default, over the DiT of 20 × 28, both compiled": (
            *(1.35, (section, large, "default" + COMPILED), (section, dit, "pipeline" + COMPILED)),
        ),
    }.items():
        bound, ours, base = bases
        yield Target(what, "≤", bound, _quotient(ours, base), CUDA)


def _counted() -> Iterator[Target]:
    for name, bound in (("naive", 4), ("anderson", 36), ("broyden", 40)):
        most = _most(counting.EVALUATION, f"{name}*", "each further evaluation")
        yield Target(f"operations beyond f of an evaluation, {name}", "≤", bound, most)
    for schedulers, bounds in (
        (("ddim", "ddpm", "euler"), (20, 90)),
        (("unipc", "dpm++"), (130, 130)),
    ):
        for solver, bound in zip(("naive", "default"), bounds, strict=True):
            most = _most(counting.TIMESTEP, schedulers, solver)
            name = f"operations of a timestep beyond the network's, {solver}"
            yield Target(f"{name}, {', '.join(schedulers)}", "≤", bound, most)


Measure = Callable[[Report], Found | None]


def _ratio(case: str, what: str) -> Measure:
    def measure(report: Report) -> Found | None:
        found = report.find(pipelines.SECTION, case, what)
        ratio = found[0].ratio if found else None
        return None if ratio is None else Found(ratio, found[0].case)

    return measure


def _quotient(ours: tuple[str, str, str], base: tuple[str, str, str]) -> Measure:
    def measure(report: Report) -> Found | None:
        above, below = report.find(*ours), report.find(*base)
        return Found(above[0].value / below[0].value) if above and below else None

    return measure


def _most(section: str, cases: str | tuple[str, ...], what: str) -> Measure:
    """The largest of several; it stands for all of them."""

    def measure(report: Report) -> Found | None:
        patterns = (cases,) if isinstance(cases, str) else cases
        found = [each for case in patterns for each in report.find(section, case, what)]
        return _of(max(found, key=_value)) if found else None

    return measure


def _least(section: str, case: str) -> Measure:
    def measure(report: Report) -> Found | None:
        found = report.find(section, case, "R²")
        return _of(min(found, key=_value)) if found else None

    return measure


def _value(figure: Figure) -> float:
    assert figure.value is not None
    return figure.value


def _of(figure: Figure) -> Found:
    return Found(_value(figure), figure.case)


def _shown(found: Found | None) -> str:
    return number(found.value if found else None)
