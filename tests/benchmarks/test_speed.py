"""The benchmark of speed measures what it says, at toy size; no test looks at what it finds."""

import json

import pytest
import torch
from attrs import evolve

from tests.benchmarks import speed
from tests.benchmarks.costs import counting, pipelines, targets
from tests.benchmarks.costs.figures import Figure, Report, number, table
from tests.benchmarks.costs.growing import r_squared
from tests.benchmarks.costs.settings import DIGITS, Settings, Workload
from tests.benchmarks.costs.timing import Spread, interleaved
from tests.benchmarks.costs.workloads import (
    Inputs,
    compilations,
    compiled,
    explicit,
    forward,
    implicit,
    pipeline,
    sampling,
    scheduler_of,
    straight,
)
from tests.toys import BlockPasses

TOY = Settings(
    *("cpu", torch.float32, (Workload("S/8", 1, 2, 1), Workload(DIGITS, 2, 3, 2))),
    compiled=frozenset(),
    unrolled=2,
    beside=frozenset({"S/8", DIGITS}),
    seconds=0,
    least=1,
    warm_steps=2,
    state=(2, 64),
    evals=4,
    budgets=(1, 2, 3),
    grown=Workload(DIGITS, 2, 4, 1),
    many=2,
)
ALLOWED = {"the pipeline has no compile()"}
"""What may be said in the place of a number."""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    folder = tmp_path_factory.mktemp("figures")
    measured = speed.measure(TOY, folder)
    assert Report.read(folder / "speed-cpu.json") == measured  # kept, whatever comes after
    return measured


@pytest.mark.parametrize("section", speed.SECTIONS)
def test_every_section_has_figures(report, section):
    figures = [each for each in report.figures if each.section == section]
    assert figures
    assert len({each.key for each in figures}) == len(figures)
    assert all(each.value is not None or each.note in ALLOWED for each in figures)
    assert section in speed.TITLES


def test_everything_is_compared_with_the_straight_loop(report):
    cases = [each.case for each in report.find(pipelines.SECTION, what=pipelines.LOOP)]
    assert cases == [
        *("S/8, batch 1, 2 × 1", "DiT S/8, batch 1, 2 × 12"),
        *("digits, batch 2, 3 × 2", "DiT digits, batch 2, 3 × 4"),
    ]
    assert all(each.ratio is not None for each in report.find(pipelines.SECTION))


def test_figures_come_back_from_their_file(report, tmp_path):
    speed.write(report, tmp_path)
    assert Report.read(tmp_path / "speed-cpu.json") == report
    setting = json.loads((tmp_path / "speed-cpu.json").read_text())["setting"]
    assert {"device", "processor", "threads", "dtype", "torch", "diffusers", "fpdm"} <= set(setting)
    text = (tmp_path / "speed-cpu.md").read_text()
    assert all(title in text for title in speed.TITLES.values())


def test_before_stands_beside_after(report):
    past = evolve(report, figures=tuple(evolve(each, value=1234.0) for each in report.figures))
    with_past = list(speed.document(report, past))
    assert any("before" in line for line in with_past)
    assert sum("1234" in line for line in with_past) > len(report.figures) - 1
    assert not any("1234" in line for line in speed.document(report))


def test_every_target_is_listed(report):
    listed = list(targets.listed(report))
    assert len(listed) == 2 + len(list(targets.targets()))
    for device in ("cpu", "cuda"):
        elsewhere = evolve(report, setting=report.setting | {"device": device})
        other = {"cpu": "cuda", "cuda": "cpu"}[device]
        said = " ".join(targets.listed(elsewhere))
        assert f"is looked at on {other}" in said
        assert f"is looked at on {device}" not in said


def test_a_target_is_kept_or_missed():
    def verdict(operations: float) -> bool | None:
        what = "each further evaluation"
        found = (
            Figure(counting.EVALUATION, "anderson, memory 1", what, 1.0),
            Figure(counting.EVALUATION, "anderson, memory 6", what, operations),
        )
        judged = targets.judge(Report({"device": "cpu"}, found))
        return next(each.ok for each in judged if each.target.name.endswith(", anderson"))

    assert verdict(36) is True
    assert verdict(37) is False


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_each_target_finds_its_figures(device):
    settings = Settings.of(device=device, size=None, quick=True)
    names = (pipelines.LOOP, "naive", "default", "pipeline")
    cases = [each.label for each in settings.workloads] + ["DiT XL/2, batch 16, 20 × 28"]
    figures = [
        Figure(pipelines.SECTION, case, name + compiling, 1.0, ratio=1.0)
        for case in cases
        for name in names
        for compiling in ("", pipelines.COMPILED)
    ]
    judged = targets.judge(Report({"device": device}, tuple(figures)))
    timed = [each for each in judged if each.target.device == device]
    missing = [each.target.name for each in timed if each.ok is None]
    assert [each for each in missing if "torchdeq" not in each] == []


def test_the_forward_pass_is_that_of_the_network():
    network = implicit(DIGITS, device="cpu", dtype=torch.float32)
    inputs = Inputs.of(network, Workload(DIGITS, 2, 1, 3))
    with torch.no_grad(), BlockPasses(network) as passes:
        made = forward(network, inputs, inputs.timesteps[0], 3)
    assert passes.count == network.pre_passes + 3 + network.post_passes
    with torch.no_grad():
        given = {"timestep": inputs.timesteps[0], "class_labels": inputs.labels}
        called = network(inputs.x, **given, evals=3, solver="naive")
        parts = forward(compiled(network, backend="eager"), inputs, inputs.timesteps[0], 3)
    torch.testing.assert_close(made, called.sample)
    torch.testing.assert_close(parts, made)


def test_blocks_of_a_dit_are_compiled_as_one():
    dit = explicit(DIGITS, passes=4, device="cpu", dtype=torch.float32)
    torch.compiler.reset()
    loop = straight(compiled(dit, backend="eager"), Workload(DIGITS, 2, 2, 4))
    assert compilations(loop) == {"graphs": 1, "breaks": 0}
    torch.compiler.reset()


def test_the_pipeline_makes_the_passes_of_its_workload():
    network = implicit(DIGITS, device="cpu", dtype=torch.float32)
    pipe = pipeline(network, scheduler_of(DIGITS))
    with BlockPasses(network) as passes:
        sampling(pipe, Workload(DIGITS, 2, 3, 4), None)()
    assert passes.count == 3 * (network.pre_passes + 4 + network.post_passes)


def test_what_is_not_there_costs_nothing_else(monkeypatch):
    def broken(*_):
        raise RuntimeError("out of order")

    monkeypatch.setattr(pipelines, "sampling", broken)
    settings = evolve(TOY, workloads=TOY.workloads[1:])
    found = {each.what: each for each in pipelines.pipelines(settings)}
    assert found["naive"].value is None
    assert "out of order" in found["naive"].note
    assert found[pipelines.LOOP].value is not None


def test_rounds_go_to_and_fro():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = interleaved(runs, device="cpu", seconds=0, least=2)
    assert "".join(calls) == "abccba"
    assert [len(each) for each in times.values()] == [2, 2, 2]
    assert len(interleaved(runs, device="cpu", seconds=60, least=1, most=4)["a"]) == 4


def test_numbers_and_tables():
    assert Spread.of([1, 2, 3, 4, 5]) == Spread(2, 3, 4)
    assert r_squared([1, 2, 3], [1, 2, 3]) == 1
    told = {0.00012: "1.2e-04", 0.5: "0.5", 1.234: "1.23", 12.34: "12.3", 1655.4: "1655", 4.0: "4"}
    assert {value: number(value) for value in told} == told
    lines = list(table([Figure("section", "case", "what", note="not there")]))
    assert lines[0] == "| on | what | value | note |"
    assert lines[2] == "| case | what | – | not there |"
