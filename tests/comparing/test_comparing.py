"""A comparison draws each cell once, counts what it costs, and says what fails."""

import json

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.comparing import (
    Comparison,
    Failure,
    Result,
    best,
    cost_of,
    frontier,
    load_comparison,
    rows,
    structure,
)
from fpdm.comparing.config import CONFIGS
from fpdm.comparing.report import to_csv, to_markdown, to_ways
from fpdm.comparing.running import settings_of
from fpdm.diffusion import Diffusion
from fpdm.errors import FPDMError, InvalidValueError, UnknownNameError
from fpdm.training import load_config
from tests.commands import run
from tests.sampling.pipelines import pipeline
from tests.toys import lively, tiny, tiny_dit

SIZE = {"sample_size": 8, "in_channels": 1, "num_classes": 10}
BUDGETS = st.lists(st.integers(1, 300), min_size=1, max_size=4, unique=True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A fixed-point and an explicit network of random weights, for digits."""
    made = {}
    for name, model in {"ours": tiny(**SIZE), "dit": tiny_dit(**SIZE, depth=3)}.items():
        folder = tmp_path_factory.mktemp(name)
        pipeline(lively(model), Diffusion().scheduler()).save_pretrained(folder)
        made[name] = {"model": str(folder)}
    return made


def config(folders, *grids, **options):
    plain = {"networks": folders, "grid": list(grids), "num": 80, "seeds": [0, 1]}
    return structure(plain | options)


@given(budgets=BUDGETS, iterations=st.lists(st.integers(1, 9), min_size=1, unique=True))
def test_a_grid_is_every_combination_once(budgets, iterations):
    grid = {"network": "a", "budget": budgets, "iterations": iterations, "scheduler": "ddim"}
    plain = {"networks": {"a": {"model": "x"}, "b": {"model": "y"}}, "grid": [grid, grid]}
    cells = structure(plain).cells()
    assert len(cells) == len(budgets) * len(iterations)
    assert {cell.settings["budget"] for cell in cells} == set(budgets)
    assert all(cell.settings["scheduler"] == "ddim" for cell in cells)
    assert len({cell.label for cell in cells}) == len(cells)


@given(budget=st.integers(1, 400), iterations=st.integers(1, 20))
@settings(max_examples=60)
def test_a_cell_is_paid_exactly_or_refused(budget, iterations):
    network = tiny(**SIZE)
    cell = structure(
        {
            "networks": {"a": {"model": "x"}},
            "grid": [{"budget": [budget], "iterations": [iterations]}],
        }
    ).cells()[0]
    if budget < iterations + 2:
        with pytest.raises(FPDMError, match=f"budget={budget}: one timestep costs"):
            settings_of(cell, network)
        return
    found = settings_of(cell, network)
    assert found["budget"] == budget
    assert found["num_inference_steps"] == budget // (iterations + 2)


def test_each_cell_is_drawn_once_and_measured(folders, tmp_path, monkeypatch):
    wanted = config(
        folders, {"network": "ours", "budget": [8, 12]}, {"network": "dit", "budget": 7}
    )
    drawn = list(Comparison(wanted, tmp_path))
    assert all(isinstance(each, Result) for each in drawn)
    assert [each.passes for each in drawn] == [8, 8, 12, 12, 6, 6]
    assert [each.seed for each in drawn] == [0, 1] * 3
    assert all(each.figures["pixels"]["frechet"] > 0 for each in drawn)
    assert drawn[0].figures != drawn[1].figures

    def refuse(*_args, **_kwargs):
        raise AssertionError("it is drawn again")

    monkeypatch.setattr(fpdm.FPDMPipeline, "__call__", refuse)
    again = list(Comparison(wanted, tmp_path))
    assert again == drawn
    assert Comparison(wanted, tmp_path).shown(wanted.cells()[0]).shape == (10, 1, 8, 8)


def test_an_interrupted_comparison_goes_on(folders, tmp_path, monkeypatch):
    wanted = config(folders, {"budget": [8, 12]})
    begun = iter(Comparison(wanted, tmp_path))
    first = [next(begun) for _ in range(3)]
    begun.close()
    calls = []
    call = fpdm.FPDMPipeline.__call__

    def counted(self, *args, **kwargs):
        calls.append(kwargs["budget"])
        return call(self, *args, **kwargs)

    monkeypatch.setattr(fpdm.FPDMPipeline, "__call__", counted)
    rest = list(Comparison(wanted, tmp_path))
    assert rest[:3] == first
    assert len(calls) == len(rest) - 3 + 2  # the batches, and samples to count what two cells cost


def test_side_by_side_the_same_is_drawn(folders, tmp_path):
    wanted = config(folders, {"budget": [8, 12]}, seeds=[0, 1, 2])
    alone = list(Comparison(wanted, tmp_path / "alone"))
    beside = list(Comparison(wanted, tmp_path / "beside", jobs=2))
    assert [each.seed for each in beside] == [0] * 4 + [1, 2] * 4
    assert [each.alone for each in beside] == [True] * 4 + [False] * 8
    figures = {(each.cell.label, each.seed): each.figures for each in alone}
    assert figures == {(each.cell.label, each.seed): each.figures for each in beside}
    for one, other in zip(rows(alone), rows(beside), strict=True):
        assert (one.cell, one.passes, one.multiply_adds) == (
            *(other.cell, other.passes, other.multiply_adds),
        )
    assert list(Comparison(wanted, tmp_path / "beside", jobs=2)) == beside


def test_a_cell_fails_beside_others_as_it_does_alone(folders, tmp_path):
    wanted = config(folders, {"network": "ours", "budget": [1, 8]}, seeds=[0, 1])
    made = list(Comparison(wanted, tmp_path, jobs=2))
    assert [type(each) for each in made] == [Failure, Result, Failure, Result]
    assert "one timestep costs" in made[2].message


def test_seconds_are_of_what_was_drawn_alone():
    made = results([("ours", 8, "ddim", 8, 5.0, [1.0, 2.0])])
    (row,) = rows([made[0], evolve(made[1], seconds=1.0, alone=False)])
    assert row.seconds == 5


def test_other_weights_are_other_cells(folders, tmp_path):
    wanted = config(folders, {"network": "ours", "budget": 8}, seeds=[0])
    before = list(Comparison(wanted, tmp_path / "out"))
    pipe = pipeline(lively(tiny(**SIZE), seed=5), Diffusion().scheduler())
    pipe.save_pretrained(tmp_path / "other")
    other = {"ours": {"model": str(tmp_path / "other")}}
    after = list(Comparison(config(other, {"budget": 8}, seeds=[0]), tmp_path / "out"))
    assert before[0].figures != after[0].figures


def test_a_cell_that_fails_is_named_and_the_others_are_drawn(folders, tmp_path):
    wanted = config(
        folders,
        {"network": "dit", "budget": [2, 6]},
        {"network": "dit", "budget": 6, "iterations": 2},
        {"network": "ours", "budget": 6, "cache": "first-block"},
        {"network": "ours", "budget": 6, "scheduler": "nonsense"},
        seeds=[0],
    )
    made = list(Comparison(wanted, tmp_path))
    failed = [each for each in made if isinstance(each, Failure)]
    assert len(made) == 5
    assert len(failed) == 4
    assert "one timestep costs 3 block passes" in failed[0].message
    assert "explicit" in failed[1].message
    assert "no cache of blocks" in failed[2].message
    assert "nonsense" in failed[3].message


def test_a_network_is_trained_first_and_only_once(tmp_path):
    small = ["steps=2", "batch_size=4", "model.hidden_size=16", "tracking.samples_every=0"]
    wanted = structure(
        {
            "networks": {"ours": {"train": "digits", "set": small}},
            "grid": [{"budget": 8}],
            "num": 80,
            "seeds": [0],
        }
    )
    made = list(Comparison(wanted, tmp_path))
    assert [each.step for each in made[:-1]] == [1, 2]
    assert isinstance(made[-1], Result)
    assert [type(each) for each in Comparison(wanted, tmp_path)] == [Result]


@pytest.mark.parametrize("name", ["ours", "dit"])
def test_multiply_adds_are_those_of_the_products(name, folders):
    pipe = fpdm.FPDMPipeline.from_pretrained(folders[name]["model"])
    pipe.set_progress_bar_config(disable=True)

    def cost(budget, samples=1):
        def draw():
            return pipe(torch.zeros(samples).long(), budget=budget, output_type="latent")

        return cost_of(draw, pipe.model, samples=samples)

    one, two = cost(12), cost(24)
    assert (one.passes, two.passes) == (12, 24)
    assert two.multiply_adds == pytest.approx(2 * one.multiply_adds, rel=0.02)
    # the embeddings of timesteps are computed once for all samples
    shared = one.multiply_adds - cost(12, samples=3).multiply_adds
    assert 0 < shared < 0.05 * one.multiply_adds


def test_the_blocks_that_a_cache_passes_over_cost_nothing(folders, tmp_path):
    cache = {"name": "taylorseer", "cache_interval": 3, "disable_cache_before_step": 2}
    wanted = config(
        folders, {"network": "dit", "budget": 30}, {"network": "dit", "budget": 30, "cache": cache}
    )
    whole, _, cached, _ = Comparison(wanted, tmp_path)
    assert whole.passes == 30
    assert whole.steps == cached.steps == 10
    assert cached.passes < 25
    assert cached.multiply_adds < whole.multiply_adds


def results(table):
    """Results of (network, budget, way, passes, seconds, distances of the seeds)."""
    made = []
    for network, budget, way, passes, seconds, distances in table:
        grid = {"budget": budget, "scheduler": way}
        cell = structure({"networks": {network: {"model": "x"}}, "grid": [grid]}).cells()[0]
        for seed, distance in enumerate(distances):
            figures = {"pixels": {"frechet": distance}}
            made.append(Result(cell, seed, figures, passes, 10 * passes, seconds, 100, 5, "cpu", 1))
    return made


TABLE = [
    ("a", 10, "ddim", 10, 1.0, [3.0, 3.2]),
    ("a", 10, "unipc", 10, 1.5, [2.0, 2.2]),
    ("a", 20, "ddim", 20, 2.0, [2.5, 2.5]),
    ("b", 10, "ddim", 10, 0.5, [2.1, 2.3]),
    ("b", 20, "ddim", 20, 1.0, [1.0, 1.1]),
]


def test_a_row_is_the_mean_of_the_seeds_and_their_range():
    found = rows(results(TABLE))
    assert len(found) == len(TABLE)
    assert found[0].figures["pixels"]["frechet"] == pytest.approx(3.1)
    assert found[0].spread["pixels"]["frechet"] == pytest.approx(0.2)
    assert found[0].seeds == 2


def test_the_best_within_a_budget_may_cost_less():
    chosen = best(rows(results(TABLE)), "pixels")
    assert chosen["a", 10].cell.settings["scheduler"] == "unipc"
    assert chosen["a", 20] is not None
    assert chosen["a", 20].passes == 10  # more passes were not better
    assert chosen["b", 20].passes == 20


@given(
    costs=st.lists(st.tuples(st.integers(1, 50), st.floats(0.1, 9)), min_size=1, max_size=12),
)
def test_nothing_cheaper_beats_what_is_on_the_frontier(costs):
    table = [("a", 100, f"way {i}", passes, 1.0, [d]) for i, (passes, d) in enumerate(costs)]
    made = frontier(rows(results(table)), "a", "pixels", "passes")
    for row in made:
        own = row.figures["pixels"]["frechet"]
        assert not [1 for passes, d in costs if passes <= row.passes and d < own]
    assert (np.diff([row.passes for row in made]) > 0).all()
    assert min(d for _, d in costs) == made[-1].figures["pixels"]["frechet"]


def test_the_report_says_who_is_ahead_by_more_than_chance():
    text = to_markdown(rows(results(TABLE)))
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:2] == "| "}
    assert lines["10"].endswith("| = |")  # 2.1 and 2.2, whose seeds lie 0.2 apart
    assert lines["20"].endswith("| b |")


def test_every_way_is_a_line():
    text = to_ways(rows(results(TABLE)), "pixels")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == "| network | way | 10 passes | 20 passes |"
    assert "| a | scheduler=unipc | 2.100 (0.200) |  |" in lines
    assert len(lines) == 1 + 3  # ways: a by ddim, a by unipc, b by ddim


def test_the_table_holds_every_cell():
    text = to_csv(rows(results(TABLE)))
    assert len(text.splitlines()) == 1 + len(TABLE)
    assert text.splitlines()[0].startswith("network,budget,scheduler,passes,multiply_adds")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": {}}, "there must be one of each"),
        ({"networks": {"a": {}}}, r"networks.a: model, train: one of them must be given"),
        ({"networks": {"a": {"model": "x", "train": "digits"}}}, "and not both"),
        ({"networks": {"a": {"modle": "x"}}}, "networks.a: there is no 'modle'"),
        ({"networks": "x"}, "networks: must be tables"),
        ({"grid": []}, "there must be one of each"),
        ({"grid": "x"}, "grid: must be tables"),
        ({"grid": [{"iterations": 2}]}, "grid 1: has no budget"),
        ({"grid": [{"budget": 0}]}, "grid 1: budget=0: must be a whole number ≥ 1"),
        ({"grid": [{"budget": [8], "solvr": "naive"}]}, "grid 1: no setting 'solvr'"),
        ({"grid": [{"budget": [8], "network": "c"}]}, "grid 1: no network 'c'"),
        ({"grid": [{"budget": [8], "solver": []}]}, "grid 1: solver is empty"),
        ({"features": ["inception"]}, "features: no 'inception'"),
        ({"seeds": 3}, "seeds=3: must be a list"),
        ({"num": 1}, "num=1: must be a whole number ≥ 2"),
        ({"sede": 1}, "there is no 'sede'"),
    ],
)
def test_what_is_no_comparison_is_refused_in_a_sentence(change, message):
    plain = {"networks": {"a": {"model": "x"}}, "grid": [{"budget": 8}]} | change
    with pytest.raises((InvalidValueError, UnknownNameError), match=message):
        structure(plain)


def test_a_model_that_is_not_there_is_named(tmp_path):
    wanted = structure({"networks": {"a": {"model": "nowhere"}}, "grid": [{"budget": 8}]})
    with pytest.raises(InvalidValueError, match=r"networks\.a: model='nowhere'"):
        list(Comparison(wanted, tmp_path))


def test_the_comparisons_of_the_package_can_be_read():
    names = [path.stem for path in CONFIGS.glob("*.toml")]
    assert {"ablations", "digits", "emoji", "schedulers"} <= set(names)
    for name in names:
        wanted = load_comparison(name)
        used = {cell.network for cell in wanted.cells()}
        assert used == set(wanted.networks)
        for network in wanted.networks.values():
            if network.train is not None:
                load_config(network.train, network.set)
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        load_comparison("digit")


def test_the_command_writes_tables_and_pictures(folders, tmp_path, capsys):
    networks = "".join(
        f'[networks.{name}]\nmodel = "{each["model"]}"\n' for name, each in folders.items()
    )
    path = tmp_path / "mine.toml"
    path.write_text(
        f'num = 80\nseeds = [0, 1]\nfeatures = ["pixels", "digits"]\n{networks}'
        f"[[grid]]\nbudget = [2, 8]\n"
    )
    code, listed, _ = run(capsys, "compare", path, "--dry-run")
    assert code == 0
    assert listed.splitlines() == [
        f"{name} budget={budget}" for name in folders for budget in (2, 8)
    ]
    out = tmp_path / "out"
    code, said, warned = run(capsys, "compare", path, "--out", out, "--device", "cpu")
    assert code == 1  # two block passes pay for no timestep
    assert warned.count("budget=2: one timestep costs") == 4
    assert "ours          8" in said
    for name in ("cells.csv", "report.md", "samples-passes.png", "samples-seconds.png"):
        assert (out / name).stat().st_size > 0
    assert (out / "quality-pixels.png").exists()
    assert len(json.loads((out / "cells.json").read_text())) == 2
