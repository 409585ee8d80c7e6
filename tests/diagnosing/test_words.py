"""The sentences of a diagnosis say what its figures say."""

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from fpdm.diagnosing import explain
from tests.diagnosing.made import curve, diagnosis, finding

FIGURES = st.floats(0, 1e3) | st.sampled_from([math.inf, 1.0, 0.0])
EFFECTS = FIGURES | st.just(math.nan)


def said(*findings, **options) -> str:
    return "\n".join(explain(diagnosis(*findings, **options)))


def curves(**by):
    """Curves of `naive` and `anderson` from `features` and `reuse`, given as solver_init."""
    return tuple(
        curve(solver, init, **by.get(f"{solver}_{init}", {}))
        for solver in ("naive", "anderson")
        for init in ("features", "reuse")
    )


@st.composite
def any_findings(draw):
    count = draw(st.integers(1, 6))
    made = []
    for index in range(count):
        options = {
            "factor": draw(st.sampled_from([0.1, 0.5, 1.0, 1.5])),
            "start": draw(st.floats(1e-6, 1e3) | st.just(math.inf)),
        }
        made.append(
            finding(
                index,
                radius=draw(FIGURES),
                norm=draw(FIGURES),
                worst=draw(FIGURES | st.just(math.inf)),
                effect=draw(EFFECTS),
                iterations=draw(st.integers(1, 40)),
                curves=curves(anderson_reuse=options, naive_features=options),
            )
        )
    return made


@given(
    findings=any_findings(),
    spread=st.floats(0, 10) | st.just(math.nan),
    init=st.sampled_from(["features", "reuse", "mine"]),
    dtype=st.sampled_from(["float32", "bfloat16", "float64"]),
)
def test_whatever_the_figures_there_are_whole_sentences(findings, spread, init, dtype):
    words = explain(diagnosis(*findings, spread=spread, init=init, dtype=dtype))
    assert 2 <= len(words) <= 9
    for sentence in words:
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert not re.search(r"\bnan\b|None|\{|\(\)|  ", sentence)


@given(radii=st.lists(st.floats(0.01, 3), min_size=1, max_size=8))
def test_every_timestep_is_said_to_contract_where_its_radius_is_below_one(radii):
    first = explain(diagnosis(*(finding(i, radius=r) for i, r in enumerate(radii))))[0]
    if all(radius < 1 for radius in radii):
        assert "The iteration contracts at" in first
        assert "not" not in first
    elif all(radius >= 1 for radius in radii):
        assert "does not contract" in first
    else:
        assert "and not at" in first


def test_timesteps_are_named_in_ranges():
    radii = (0.5, 1.5, 1.6, 1.7, 0.5, 1.2)
    text = said(*(finding(i, radius=r) for i, r in enumerate(radii)))
    assert "contracts at timesteps 900 and 500, and not at timesteps 800 to 600 and 400" in text
    assert "1.20 to 1.70" in text
    assert "solver='anderson'" in text


def test_single_samples_and_lost_ones_are_named():
    text = said(finding(0, worst=1.3), finding(1, worst=math.inf))
    assert "single samples it does not contract at timestep 900: their radius is up to 1.3" in text
    assert "some samples is not finite at timestep 800" in text


def test_a_norm_above_one_is_explained_where_the_radius_is_below():
    assert "spectral norm of up to 2.5" in said(finding(norm=2.5))
    assert "spectral norm" not in said(finding(norm=0.9))
    assert "spectral norm" not in said(finding(norm=2.5, radius=1.5))


def test_the_fastest_solver_is_named_and_what_the_others_take():
    fast = curves(anderson_reuse={"factor": 0.1}, naive_reuse={"factor": 0.3})
    text = said(finding(curves=fast), finding(1, curves=fast))
    assert "anderson comes to a residual of 0.001 first, after 4 evaluations from `reuse`" in text
    assert "naive takes 7" in text
    assert "The run uses solver='anderson'" in text
    assert "Sample with solver='anderson'; the run uses 'naive'" in said(
        finding(curves=fast), solver="naive"
    )


def test_solvers_that_are_as_fast_are_named_together():
    same = curves(anderson_reuse={"factor": 0.3}, naive_reuse={"factor": 0.3})
    text = said(finding(curves=same))
    assert "naive and anderson come to a residual of 0.001, after 7 evaluations" in text


def test_a_solver_that_does_not_come_there_is_said_not_to():
    text = said(finding(curves=curves(anderson_reuse={"factor": 0.1})))
    assert "naive does not in 8" in text


def test_where_nothing_converges_the_lowest_residual_is_named():
    text = said(finding(), finding(1, curves=curves(naive_features={"factor": 0.6, "start": 0.5})))
    assert "No solver comes to a residual of 0.001 within 8 evaluations" in text
    assert "the lowest is 0.008, of naive from `features` at timestep 900" in text
    lost = {"start": math.inf}
    every = dict.fromkeys(
        ("naive_features", "naive_reuse", "anderson_features", "anderson_reuse"), lost
    )
    assert "No residual is finite" in said(finding(curves=curves(**every)))


def test_whether_reuse_pays_is_said_with_its_figures():
    pays = curves(naive_features={"factor": 0.1}, naive_reuse={"factor": 0.1, "start": 0.1})
    text = said(finding(), finding(1, curves=pays))
    assert "`reuse` pays: naive starts from a residual of 0.1 in the place of 1" in text
    assert "ends with 0.01 in the place of 0.1 after the iterations granted" in text
    assert "saves 1 of 4 evaluations to 0.001" in text
    assert "The run uses init='reuse'" in text
    assert "Sample with init='reuse'; the run uses 'features'" in said(
        finding(), finding(1, curves=pays), init="features"
    )


def test_where_reuse_does_not_pay_features_are_advised():
    worse = curves(naive_features={"factor": 0.1}, naive_reuse={"factor": 0.1, "start": 10.0})
    text = said(finding(), finding(1, curves=worse))
    assert "`reuse` does not pay" in text
    assert "costs 1 of 4 evaluations" in text
    assert "Sample with init='features'; the run uses 'reuse'" in text
    lost = curves(naive_features={"factor": 0.1}, naive_reuse={"factor": 1.5})
    assert "it does not come to 0.001 within 8 evaluations" in said(
        finding(), finding(1, curves=lost), solver="naive", init="features"
    )


def test_a_single_timestep_says_nothing_about_reuse():
    assert "says nothing about starts from past solutions" in said(finding())


def test_large_effects_are_named_and_the_allocation_that_follows():
    effects = (0.01, 0.02, 0.1, 0.2)
    text = said(*(finding(i, effect=e) for i, e in enumerate(effects)))
    assert "worth most at timesteps 700 and 600" in text
    assert "by 0.2 (20% of their spread) at most, at timestep 600" in text
    assert "91% of all effects are in the second half" in text
    assert "allocation='increasing'" in text
    text = said(*(finding(i, effect=e) for i, e in enumerate(reversed(effects))))
    assert "allocation='decreasing'" in text
    assert "allocation='constant'" in said(*(finding(i) for i in range(5)))


def test_small_effects_ask_for_timesteps_in_place_of_iterations():
    text = said(finding(effect=0.004), finding(1, effect=0.001))
    assert "changes the final samples little, by 0.004 (0.4% of their spread)" in text
    assert "num_inference_steps" in text
    assert "allocation" not in text


def test_effects_that_are_not_finite_are_said_to_be_unknown():
    assert "cannot be said" in said(finding(effect=math.nan), spread=math.nan)
    assert "worth most at timestep 800" in said(finding(effect=math.nan), finding(1, effect=1.0))


def test_a_tolerance_below_the_rounding_is_noticed():
    assert "States are bfloat16" in said(finding(), dtype="bfloat16")
    assert "States are" not in said(finding(), dtype="float32")
    assert "States are" not in said(finding(), dtype="bfloat16", tol=0.1)
