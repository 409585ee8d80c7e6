"""A plan spends exactly what it is given, by the least error, and says so."""

import gc
import math
import threading
import weakref

import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import fpdm
from fpdm.calibration import Calibration, Tried, Way
from fpdm.diffusion import Diffusion
from fpdm.errors import BudgetError, InvalidValueError, UnknownNameError
from fpdm.planning import Choice, choosing, plan
from fpdm.planning.costs import Costs, Line
from fpdm.planning.identity import configuration_of, sketch_of
from fpdm.solution import Moment
from fpdm.testing.calibrations import calibration_for
from tests.sampling.pipelines import draw, pipeline
from tests.toys import BlockPasses, lively, tiny, tiny_dit

NAMES = st.sampled_from([None, "a", "b"])


def known(pipe, *tried: Tried) -> Calibration:
    return Calibration(configuration_of(pipe), sketch_of(pipe), tried)


def flat(way: Way, error: float) -> Tried:
    return Tried(way, (12, 240), (error, error))


PIPE = pipeline()
PIPE.calibration = known(
    PIPE,
    Tried(Way(), (12, 60, 240), (0.4, 0.2, 0.1)),
    Tried(Way(1, "ddim", "linear"), (12, 60, 240), (0.3, 0.25, 0.2)),
    Tried(Way(3, "unipc", "late"), (12, 60, 240), (0.5, 0.15, 0.12)),
    Tried(Way(3, "unipc", "late", "naive"), (12, 60, 240), (0.6, 0.18, 0.05)),
)


@pytest.mark.parametrize(
    ("budget", "steps", "way"),
    [
        (12, 4, Way(1, "ddim", "linear")),
        (60, 12, Way(3, "unipc", "late")),
        (240, 48, Way(3, "unipc", "late", "naive")),
    ],
)
def test_the_way_of_the_least_error_is_chosen(budget, steps, way):
    choice = plan(PIPE, budget=budget)
    assert (choice.way, choice.steps, choice.budget) == (way, steps, budget)
    assert choice.error < choice.usual
    assert choice.call.startswith(f"pipe(…, budget={budget}, num_inference_steps={steps}")
    assert str(choice).splitlines()[0] == choice.call


@given(st.integers(3, 10**9))
def test_every_budget_that_pays_for_a_timestep_has_a_plan(budget):
    choice = plan(PIPE, budget=budget)
    assert choice.settings["budget"] == budget
    assert 1 <= choice.steps <= 1000
    assert choice.steps * 3 <= budget
    assert math.isfinite(choice.error)


@pytest.mark.parametrize("budget", [3, 4, 7, 24, 61])
def test_a_run_by_plan_makes_exactly_the_passes_asked_for(budget):
    with BlockPasses(PIPE.model) as passes:
        draw(PIPE, budget=budget, num_inference_steps=None, plan="auto")
    assert passes.count == budget


def test_what_a_plan_says_is_the_call_that_one_could_have_written():
    choice = plan(PIPE, budget=24)
    by_plan = draw(PIPE, budget=24, num_inference_steps=None, plan="auto").images
    assert torch.equal(by_plan, draw(PIPE, **choice.settings).images)
    as_made = draw(PIPE, budget=None, num_inference_steps=None, plan=choice).images
    assert torch.equal(by_plan, as_made)


def test_what_is_settled_stays():
    assert plan(PIPE, budget=60, given={"solver": "naive"}).way == Way(3, "unipc", "late", "naive")
    for naive in (fpdm.solver("naive"), {"name": "naive"}, {"name": "naive", "damping": 1.0}):
        assert plan(PIPE, budget=60, given={"solver": naive}) == plan(
            PIPE, budget=60, given={"solver": "naive"}
        )
    choice = plan(PIPE, budget=60, given={"scheduler": "ddim"})
    assert choice.way == Way(1, "ddim", "linear")
    broyden = plan(PIPE, budget=60, given={"solver": "broyden"}).way  # of which nothing is known
    assert broyden == Way(3, "unipc", "late", "broyden")
    euler = plan(PIPE, budget=60, given={"scheduler": "euler"}).way
    assert euler.scheduler == "euler"
    assert plan(PIPE, budget=60, given={"init": None}) == plan(PIPE, budget=60)


SOLVERS = ["naive", {"name": "naive"}, {"name": "naive", "damping": 1.0}, fpdm.solver("naive")]


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_what_is_settled_is_the_same_by_name_with_options_and_as_an_object(solver):
    assert plan(PIPE, budget=60, given={"solver": solver}) == plan(
        PIPE, budget=60, given={"solver": "naive"}
    )
    damped = plan(PIPE, budget=60, given={"solver": fpdm.solver("naive", damping=0.5)})
    assert damped.way.having("solver", None) == Way(3, "unipc", "late")  # nothing is known of it


def test_what_is_settled_may_be_worse_than_the_usual_call_and_then_it_says_so():
    choice = plan(PIPE, budget=12, given={"scheduler": "unipc"})
    assert choice.error > choice.usual
    assert "25% more than those of the usual call." in choice.why[1]


def test_what_is_settled_must_be_known_by_its_name():
    with pytest.raises(UnknownNameError, match="naive"):
        plan(PIPE, budget=60, given={"solver": "naiv"})


def test_of_ways_that_are_as_good_the_usual_one_is_taken():
    pipe = pipeline()
    pipe.calibration = known(
        pipe, flat(Way(), 0.1), flat(Way(2, "unipc", "late", "naive"), 0.0995), flat(Way(1), 0.2)
    )
    assert plan(pipe, budget=24).way == Way()
    assert any("as much as" in sentence for sentence in plan(pipe, budget=24).why)


def test_one_lucky_budget_does_not_make_a_way_the_best():
    steady = Tried(Way(), (24, 36, 60, 120), (0.4, 0.3, 0.2, 0.1))
    lucky = Tried(Way(3), (24, 36, 60, 120), (0.5, 0.4, 0.19, 0.14))
    pipe = pipeline()
    pipe.calibration = known(pipe, steady, lucky)
    assert plan(pipe, budget=60).way == Way()


@given(st.floats(1.05, 3), st.sets(st.integers(4, 4000), min_size=1, max_size=7))
def test_what_is_better_everywhere_stays_so_by_as_much(times, budgets):
    budgets = tuple(sorted(budgets))
    good = Tried(Way(), budgets, tuple(1 / budget for budget in budgets))
    bad = Tried(Way(3), budgets, tuple(times / budget for budget in budgets))
    for before, after in zip((good, bad), choosing.steadied([good, bad]), strict=True):
        assert after.errors == pytest.approx(before.errors)


def test_reasons_name_what_would_have_been_in_its_place():
    why = plan(PIPE, budget=240).why
    assert why[0] == "240 block passes are 48 timesteps of 3 iterations."
    assert why[1] == "Samples end 0.05 from those of a long run, 50% less than without a plan."
    assert 'solver="naive": the usual one in its place leaves +140%.' in why
    assert any("a guess" in sentence for sentence in plan(PIPE, budget=500).why)
    assert any("--guidance-scale 4" in s for s in plan(PIPE, budget=60, guidance_scale=4).why)


REFUSED = [
    ({}, "give one of them"),
    ({"budget": 60, "seconds": 1.0}, "give one of them"),
    ({"budget": 2}, "cannot pay for 1 steps"),
    ({"budget": 0}, "budget=0"),
    ({"budget": 2.5}, "budget=2.5"),
    ({"seconds": 0}, "seconds=0"),
    ({"seconds": math.nan}, "seconds=nan"),
    ({"seconds": 1.0, "count": 0}, "count=0"),
    ({"budget": 60, "given": {"timesteps": [3]}}, "timesteps: a plan says so itself"),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSED)
def test_what_cannot_be_planned_is_refused_in_one_sentence(options, sentence):
    with pytest.raises((BudgetError, InvalidValueError), match=sentence):
        plan(PIPE, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"plan": "best", "budget": 20}, "plan='best': must be one of auto"),
        ({"plan": "auto", "num_inference_steps": 4}, "num_inference_steps: a plan says so itself"),
        ({"plan": "auto", "timesteps": [999, 500, 0]}, "timesteps: a plan says so itself"),
        ({"plan": "auto", "seconds": 1.0}, "give one of them"),
    ],
)
def test_a_run_says_what_does_not_go_with_a_plan(options, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        draw(PIPE, **{"budget": 20, "num_inference_steps": None, **options})
    with pytest.raises(InvalidValueError, match="budget: the plan says so already"):
        draw(PIPE, budget=20, num_inference_steps=None, plan=plan(PIPE, budget=20))


def test_a_calibration_of_another_model_is_refused():
    others = {
        "of other weights": pipeline(lively(tiny(), seed=1)),
        "configured otherwise": pipeline(tiny(hidden_size=16)),
    }
    for sentence, other in others.items():
        other.calibration = PIPE.calibration
        with pytest.raises(InvalidValueError, match=sentence):
            plan(other, budget=24)
        with pytest.raises(InvalidValueError, match=sentence):
            draw(other, allocation="measured")
        draw(other)  # which needs none
    scheduler = pipeline(scheduler=fpdm.EvenDDIMScheduler(prediction_type="v_prediction"))
    with pytest.raises(InvalidValueError, match="configured otherwise"):
        plan(scheduler, budget=24, calibration=PIPE.calibration)


@pytest.mark.parametrize(
    "parts",
    [
        {"model": lively(tiny(), seed=1)},
        {"scheduler": Diffusion(zero_terminal_snr=True).scheduler()},
    ],
)
def test_a_part_that_is_exchanged_is_looked_at_again(parts):
    pipe = pipeline()
    pipe.calibration = PIPE.calibration
    plan(pipe, budget=24)
    pipe.register_modules(**parts)
    with pytest.raises(InvalidValueError, match="The calibration is of"):
        plan(pipe, budget=24)


def test_a_compiled_network_is_the_same_model():
    pipe = pipeline()
    pipe.calibration = PIPE.calibration
    pipe.model = torch.compile(pipe.model, backend="eager")
    assert plan(pipe, budget=60) == plan(PIPE, budget=60)


def test_what_is_configured_as_by_default_may_be_left_out():
    pipe = pipeline()
    known = configuration_of(pipe)
    for part in (pipe.model, pipe.scheduler):
        part.register_to_config(of_a_later_release=None)
        assert configuration_of(pipe) == known
    pipe.scheduler.register_to_config(beta_end=0.5)
    assert configuration_of(pipe) != known


def test_sixteen_bits_are_the_same_model():
    half = pipeline(tiny().to(torch.bfloat16))
    half.calibration = PIPE.calibration
    assert plan(half, budget=60).way == plan(PIPE, budget=60).way


def test_without_a_calibration_or_an_implicit_layer_it_says_so():
    with pytest.raises(InvalidValueError, match="run `fpdm calibrate MODEL`"):
        plan(pipeline(), budget=24)
    with pytest.raises(InvalidValueError, match="A DiT has no implicit layer"):
        plan(pipeline(tiny_dit()), budget=24)


def test_an_allocation_that_knows_nothing_of_the_timesteps_is_not_chosen():
    pipe = pipeline()
    run = draw(pipe, budget=24, num_inference_steps=6, spacing="quadratic").steps
    seen = tuple(Moment(step.index, step.steps, float(step.timestep)) for step in run)
    good = Way(2, "dpm++", "quadratic", allocation="measured")
    pipe.calibration = evolve(
        known(pipe, flat(Way(), 0.2), flat(good, 0.1)),
        sensitivities=calibration_for(seen).sensitivities,
    )
    assert plan(pipe, budget=24).way.allocation == "measured"
    options = {"budget": 24, "num_inference_steps": None, "plan": "auto", "spacing": "linear"}
    assert sum(step.passes for step in draw(pipe, **options).steps) == 24
    with pytest.raises(BudgetError, match="No way that is open"):
        plan(pipe, budget=24, given={"spacing": "linear", "allocation": "measured"})
    choice = plan(pipe, seconds=0.1)  # which is found by runs that are shorter
    assert choice.way.allocation == "measured"
    draw(pipe, budget=None, num_inference_steps=None, plan=choice)


def test_runs_of_any_seconds_have_a_thousand_timesteps_at_most():
    choice = plan(PIPE, seconds=1e5)
    assert choice.steps == 1000
    assert choice.seconds < 1e5


class Priced(Costs):
    """Costs that are known without a clock."""

    def _line(self, way):
        return Line(0.1, 0.02, 0.01 if way.solver == "naive" else 0.03)

    def refined(self, way, steps, seconds):
        del seconds
        return steps, self._line(way).seconds(steps, way.iterations)


@given(st.floats(0.3, 100))
def test_seconds_buy_the_least_error_that_they_pay_for(seconds):
    costs = Priced(Costs.of(PIPE, count=1).finals)
    made = pytest.MonkeyPatch()
    with made.context() as patch:
        patch.setattr(choosing.Costs, "of", lambda *_, **__: costs)
        choice = plan(PIPE, seconds=seconds)
    line = costs._line(choice.way)
    assert choice.seconds <= seconds * 0.94
    assert choice.budget == choice.steps * (2 + choice.way.iterations)
    for tried in PIPE.calibration.tried:
        other = costs._line(tried.way).steps(0.93 * seconds, tried.way.iterations)
        if other:
            budget = min(other, 1000) * (2 + tried.way.iterations)
            assert choice.error <= 1.02 * tried.error(budget)
    assert choice.steps == min(line.steps(0.93 * seconds, choice.way.iterations), 1000)


def test_too_few_seconds_are_told():
    with pytest.raises(BudgetError, match="more seconds, or draw fewer samples"):
        plan(PIPE, seconds=1e-6)


def test_what_runs_cost_is_measured_once_and_the_pipeline_left_as_it_is():
    pipe = pipeline()
    pipe.calibration = evolve(PIPE.calibration)
    state = torch.get_rng_state()
    first = Costs.of(pipe, count=2)
    choice = plan(pipe, seconds=0.5, count=2)
    assert isinstance(choice, Choice)
    assert choice.seconds > 0
    assert Costs.of(pipe, count=2) is first
    assert first.lines
    known, first_pairs = dict(first.lines), dict(first.pairs)
    assert plan(pipe, seconds=0.5, count=2) == choice
    assert (first.lines, first.pairs) == (known, first_pairs)
    assert Costs.of(pipe, count=3) is not first
    assert torch.equal(torch.get_rng_state(), state)
    assert pipe._progress_bar_config == {"disable": True}


def test_what_is_known_of_costs_goes_with_the_pipeline_and_its_parts():
    pipe = pipeline()
    first = Costs.of(pipe, count=1)
    pipe.register_modules(model=lively(tiny(), seed=1))
    assert Costs.of(pipe, count=1) is not first
    gone = weakref.ref(pipe)
    del pipe, first
    gc.collect()
    assert gone() is None


def test_seconds_in_threads_leave_the_bars_of_the_pipeline_alone():
    pipe = pipeline()
    pipe.calibration = PIPE.calibration
    pipe.set_progress_bar_config(desc="mine", disable=True)
    seen = []

    def look(*_):
        seen.append(pipe._progress_bar_config)
        return {}

    def run():
        draw(pipe, budget=None, num_inference_steps=None, seconds=0.2, callback_on_step_end=look)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen
    assert all(each == {"desc": "mine", "disable": True} for each in seen)
    assert pipe._progress_bar_config == {"desc": "mine", "disable": True}


def test_a_saved_pipeline_keeps_its_calibration(tmp_path):
    PIPE.save_pretrained(tmp_path / "model")
    again = fpdm.FPDMPipeline.from_pretrained(tmp_path / "model")
    assert again.calibration == PIPE.calibration
    assert plan(again, budget=24).way == plan(PIPE, budget=24).way
    again.calibration = None
    assert again.calibration is None
    with pytest.raises(InvalidValueError, match="must be a Calibration"):
        again.calibration = 3
