"""A tabled step equals the step of the library."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.stepping import stepping
from fpdm.diffusion.tables import tabled
from fpdm.testing.strategies import seeds

SHAPE = (2, 1, 3, 3)
KINDS = ("epsilon", "sample", "v_prediction")
FIRST_DIGITS = {"ddim": 1e-6, "ddpm": 1e-6, "dpm++": 1e-6, "euler": 1e-6, "unipc": 1e-5}
"""Of UniPC the library's coefficients cancel more digits the shorter the steps are."""


def differ(scheduler, *, seed, negate=False, learned=False, dtype=torch.float32, eta=None) -> float:
    """How far the two are apart at the worst step from the same images, relative to them."""
    rng = torch.Generator().manual_seed(seed)
    first, second = (torch.Generator().manual_seed(seed) for _ in range(2))
    steps = tabled(scheduler, negate=negate, eta=eta)
    assert steps is not None
    how = {"negate": negate, "device": torch.device("cpu"), "eta": eta}
    ours = stepping(scheduler, first, **how)
    theirs = fpdm.diffusion.stepping._Library(scheduler, second, **how)
    x, worst = torch.randn(SHAPE, generator=rng, dtype=dtype), 0.0
    for index in range(len(ours.timesteps)):
        prediction, variance = torch.randn(2, *SHAPE, generator=rng, dtype=dtype)
        variance = variance.tanh() if learned else variance[:, :0]
        made = ours.step(prediction, variance, index, x)
        x, before = theirs.step(prediction, variance, index, x), x
        assert made.dtype == x.dtype == dtype
        size = max(1.0, float(x.abs().max()), float(before.abs().max()))
        worst = max(worst, float((made - x).abs().max()) / size)
    return worst


def spread(scheduler, steps: int):
    scheduler.set_timesteps(steps)
    repeats = len(scheduler.timesteps.unique()) < len(scheduler.timesteps)
    assume(not repeats)  # which is refused before a run
    return scheduler


lengths = st.one_of(st.integers(1, 30), st.integers(1, 1000))


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm++", "unipc"])
@given(
    steps=lengths,
    kind=st.sampled_from(KINDS),
    zero=st.booleans(),
    learned=st.booleans(),
    negate=st.booleans(),
    seed=seeds,
)
@settings(max_examples=12, deadline=None)
def test_a_diffusion_step_equals_the_librarys(name, steps, kind, zero, learned, negate, seed):
    process = Diffusion(kind, zero_terminal_snr=zero and kind != "epsilon")
    learned = learned and name == "ddpm"
    scheduler = spread(process.scheduler(name, learned_variance=learned), steps)
    assert differ(scheduler, seed=seed, negate=negate, learned=learned) <= FIRST_DIGITS[name]


@pytest.mark.parametrize("name", ["euler", "dpm++", "unipc"])
@given(steps=lengths, negate=st.booleans(), shift=st.sampled_from([1.0, 3.0]), seed=seeds)
@settings(max_examples=12, deadline=None)
def test_a_flow_step_equals_the_librarys(name, steps, negate, shift, seed):
    own = fpdm.FlowScheduler(shift=shift)
    scheduler = spread(fpdm.diffusion.samplers.switch(own, name), steps)
    assert differ(scheduler, seed=seed, negate=negate) <= FIRST_DIGITS[name]


@pytest.mark.filterwarnings("ignore:.*is followed by a far longer step")  # of leading timesteps
@given(
    steps=lengths,
    options=st.fixed_dictionaries(
        {},
        optional={
            "solver_order": st.sampled_from([1, 2]),
            "solver_type": st.sampled_from(["midpoint", "heun"]),
            "lower_order_final": st.booleans(),
            "euler_at_final": st.booleans(),
            "final_sigmas_type": st.sampled_from(["zero", "sigma_min"]),
            "timestep_spacing": st.sampled_from(["linspace", "leading", "trailing"]),
        },
    ),
    seed=seeds,
)
@settings(max_examples=20, deadline=None)
def test_every_way_to_set_dpm_solver_up_equals_the_librarys(steps, options, seed):
    made = DPMSolverMultistepScheduler(prediction_type="v_prediction", **options)
    assume(steps <= 900)  # of a thousand leading ones the first step has no length
    scheduler = spread(made, steps)
    assume(len(scheduler.sigmas.unique()) == len(scheduler.sigmas))
    assert differ(scheduler, seed=seed) <= FIRST_DIGITS["dpm++"]


@given(
    steps=st.integers(1, 60),
    options=st.fixed_dictionaries(
        {},
        optional={
            "solver_order": st.sampled_from([1, 2]),
            "solver_type": st.sampled_from(["bh1", "bh2"]),
            "disable_corrector": st.lists(st.integers(0, 60)),
            "timestep_spacing": st.sampled_from(["linspace", "leading", "trailing"]),
        },
    ),
    seed=seeds,
)
@settings(max_examples=20, deadline=None)
def test_every_way_to_set_unipc_up_equals_the_librarys(steps, options, seed):
    scheduler = spread(UniPCMultistepScheduler(prediction_type="v_prediction", **options), steps)
    assert differ(scheduler, seed=seed) <= FIRST_DIGITS["unipc"]


@given(steps=lengths, kind=st.sampled_from(["fixed_small", "fixed_large", "learned_range"]))
@settings(max_examples=12, deadline=None)
def test_every_variance_of_ddpm_equals_the_librarys(steps, kind):
    scheduler = spread(fpdm.EvenDDPMScheduler(variance_type=kind), steps)
    assert differ(scheduler, seed=0, learned=kind == "learned_range") <= FIRST_DIGITS["ddpm"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["ddim", "dpm++", "unipc", "ddpm"])
def test_a_step_keeps_the_dtype(name, dtype):
    scheduler = Diffusion().scheduler(name)
    scheduler.set_timesteps(8)
    bound = 0.05 if dtype == torch.bfloat16 else 1e-6
    assert differ(scheduler, seed=0, dtype=dtype) <= bound


@pytest.mark.parametrize("name", ["ddim", "dpm++", "unipc"])
def test_one_graph_serves_every_timestep(name):
    scheduler = Diffusion().scheduler(name)
    scheduler.set_timesteps(6)
    steps, graphs = tabled(scheduler), []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    take = torch.compile(lambda *given: steps.take(*given), backend=backend, fullgraph=True)
    x = torch.randn(SHAPE)
    past = steps.begin(x)
    for row in steps.table:
        x, past = take(x, torch.randn(SHAPE), row, past)
    assert len(graphs) == 1


@pytest.mark.parametrize(
    "scheduler",
    [
        DPMSolverMultistepScheduler(solver_order=3),
        DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"),
        DPMSolverMultistepScheduler(thresholding=True),
        UniPCMultistepScheduler(solver_order=3),
        UniPCMultistepScheduler(predict_x0=False),
        fpdm.EvenDDPMScheduler(variance_type="fixed_small_log"),
        type("Own", (fpdm.EvenDDIMScheduler,), {})(),
        Diffusion().scheduler("heun"),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_what_is_not_known_is_left_to_the_library(scheduler):
    scheduler.set_timesteps(5)
    assert tabled(scheduler) is None


def test_a_run_that_begins_in_the_middle_is_left_to_the_library():
    scheduler = Diffusion().scheduler("dpm++")
    scheduler.set_timesteps(8)
    scheduler.timesteps = scheduler.timesteps[3:]
    assert tabled(scheduler) is None
    scheduler.set_timesteps(8)
    scheduler.set_begin_index(3)
    assert tabled(scheduler) is None
