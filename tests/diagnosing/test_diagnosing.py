"""What a diagnosis finds, beside what is known of affine maps; and that it leaves all as it was."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diagnosing import diagnose, explain
from fpdm.diagnosing.diagnosed import _spread_evenly
from fpdm.diagnosing.runs import runs_of
from fpdm.diffusion import Diffusion
from fpdm.diffusion.samplers import DIFFUSION, FLOW_MATCHING
from fpdm.diffusion.wanted import Wanted
from fpdm.errors import BudgetError, InvalidValueError, UnknownNameError
from tests.diagnosing.affine import WIDTH, affine
from tests.sampling.pipelines import parts, pipeline
from tests.toys import BlockPasses, lively, tiny, tiny_dit

SMALL = {"num": 3, "budget": 16, "num_inference_steps": 4, "evals": 5}


def small(pipe, **options):
    return diagnose(pipe, **SMALL | {"solvers": ["naive"], "inits": ["features"]} | options)


def plain_runs(pipe, count, **options):
    """The runs that a diagnosis is made of."""
    told = Wanted(count, class_labels=torch.arange(count) % 3)
    names = ("images", "budget", "steps", "spacing", "scheduler", "solver", "allocation", "init")
    asked = dict.fromkeys(names) | {"seed": 0, "guidance_scale": 1.0, "budget": 16, "steps": 4}
    return runs_of(pipe, told, **asked | options)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), radius=st.floats(0.1, 2))
def test_radius_and_norm_are_those_of_the_matrix(seed, radius):
    pipe = affine(radius, seed=seed)
    matrix = pipe.model.layer.block.matrix.detach().double()
    for each in small(pipe, evals=2).findings:
        # a pair of nearly the same modulus takes more products than are made to be told apart
        assert each.radius.median == pytest.approx(radius, rel=0.15)
        norm = torch.linalg.matrix_norm(matrix, 2).item()
        assert 0.9 * norm <= each.norm.median <= each.norm.worst <= norm * (1 + 1e-4)


def test_curves_are_those_of_plain_iteration():
    pipe = affine(0.7)
    found = small(pipe, inits=["features", "reuse"], evals=6)
    matrix = pipe.model.layer.block.matrix.detach()
    problems = []
    hook = pipe.model.layer.register_forward_pre_hook(lambda _, args: problems.append(args[0]))
    with torch.no_grad():
        list(plain_runs(pipe, 3).follow())
    hook.remove()
    for finding, features in zip(found.findings, problems, strict=True):
        z, residuals = features, []
        for _ in range(6):
            image = z @ matrix.T + features
            residuals.append(((image - z).norm(dim=1) / image.norm(dim=1)).sort().values)
            z = image
        curve = finding.curve("naive", "features")
        assert curve.median == pytest.approx([float(each[1]) for each in residuals], rel=1e-4)
        assert all(
            low <= mid <= high
            for low, mid, high in zip(curve.lower, curve.median, curve.upper, strict=True)
        )


def test_distances_are_those_of_the_exact_solutions():
    pipe = affine(0.6)
    found = small(pipe, evals=30)
    matrix = pipe.model.layer.block.matrix.detach().double()
    problems = []
    hook = pipe.model.layer.register_forward_pre_hook(lambda _, args: problems.append(args[0]))
    with torch.no_grad():
        list(plain_runs(pipe, 3).follow())
    hook.remove()
    exact = [
        torch.linalg.solve(torch.eye(WIDTH).double() - matrix, h.double().T).T for h in problems
    ]
    assert found.findings[0].distance is None
    for finding, last, now in zip(found.findings[1:], exact, exact[1:], strict=False):
        wanted = ((now - last).norm(dim=1) / now.norm(dim=1)).median().item()
        assert finding.distance == pytest.approx(wanted, rel=1e-3)


def test_shares_and_evaluations_follow_from_the_tolerance():
    found = small(affine(0.4), evals=40, tol=1e-3)
    for each in found.findings:
        curve = each.curve("naive", "features")
        assert curve.converged == 1
        assert curve.reached == next(k for k, r in enumerate(curve.median, 1) if r <= 1e-3)
    for each in small(affine(1.8), tol=1e-3).findings:
        assert each.curve("naive", "features").converged == 0
        assert each.curve("naive", "features").reached == math.inf


def test_an_effect_is_what_one_more_iteration_changes():
    pipe = affine(0.8, init="reuse")
    labels = [0, 1, 2]
    found = small(pipe, class_labels=labels, num=None)

    counts = tuple(each.iterations for each in found.findings)
    explicit = 4 * (pipe.model.pre_passes + pipe.model.post_passes)
    assert sum(counts) + explicit == 16

    def draw(more):
        given = tuple(count + (i == more) for i, count in enumerate(counts))
        return pipe(
            labels,
            budget=explicit + sum(given),
            num_inference_steps=4,
            allocation={"name": "weighted", "shares": list(given)},
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images.double()

    plain = torch.as_tensor(draw(None))
    assert found.spread == pytest.approx(plain.std(correction=0).item(), rel=1e-5)
    for each in found.findings:
        wanted = (torch.as_tensor(draw(each.index)) - plain).square().mean().sqrt().item()
        assert each.effect == pytest.approx(wanted, rel=1e-4)
        assert each.effect > 0


def test_it_is_the_same_for_the_same_seed_and_another_for_another():
    pipe = pipeline(tiny())
    options = {"solvers": ["anderson"], "scheduler": "ddpm"}
    first, again = small(pipe, **options), small(pipe, **options)
    assert first == again
    assert first != small(pipe, **options, seed=1)


@pytest.mark.parametrize("training", [False, True])
def test_everything_is_left_as_it_was(training):
    pipe = pipeline(tiny(init="reuse"))
    pipe.model.train(training)
    pipe.scheduler.set_timesteps(7)
    weights = copy.deepcopy(pipe.model.state_dict())
    scheduler, rng = copy.deepcopy(vars(pipe.scheduler)), torch.get_rng_state()
    layer = pipe.model.layer
    strategies = layer.solver, layer.init, layer.evals
    diagnose(pipe, **SMALL)
    assert pipe.model.training == training
    assert (layer.solver, layer.init, layer.evals) == strategies
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(value, weights[key]) for key, value in pipe.model.state_dict().items())
    assert all(each.grad is None for each in pipe.model.parameters())
    for name, value in vars(pipe.scheduler).items():
        same = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
        assert same(value, scheduler[name]), name


def test_images_of_the_run_are_those_of_the_pipeline():
    pipe = pipeline(tiny(init="reuse"))
    told = Wanted(3, class_labels=torch.arange(3))
    with torch.no_grad():
        *_, last = plain_runs(pipe, 3, budget=20).follow()
    drawn = pipe(
        told.class_labels,
        budget=20,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
    )
    assert torch.equal(last.sample, drawn.images)


def test_looking_changes_nothing_about_the_run():
    """The run that is watched has the iterations and the samples of the one that is not."""
    pipe, seen = pipeline(tiny(solver={"name": "anderson", "carry": True}, init="reuse")), []
    with BlockPasses(pipe.model) as passes:
        found = small(pipe, budget=20, solvers=["broyden"], inits=["extrapolate"], most=2)
    assert [each.index for each in found.findings] == [0, 3]
    runs = 20 + 20 + 2 * 21  # as asked for, watched, and with one iteration more at two timesteps
    exact, curves, jacobians = 3 * 10, 2 * 5, 2 * 2  # the solution before the last one as well
    assert passes.count == runs + exact + curves + jacobians
    hook = pipe.model.layer.register_forward_hook(lambda *given: seen.append(given[2].value))
    small(pipe, budget=20, most=1)
    hook.remove()
    plain, watched = seen[:4], seen[4:8]
    assert all(torch.equal(one, other) for one, other in zip(plain, watched, strict=True))


NETWORKS = {
    "classes": lambda: pipeline(tiny()),
    "no classes": lambda: pipeline(tiny(num_classes=0)),
    "learned variance, latents": parts,
    "points": lambda: pipeline(lively(fpdm.network("mlp", in_channels=2, width=8))),
    "signals": lambda: pipeline(lively(fpdm.network("mlp", sample_size=(5,), width=8))),
    "condition": lambda: pipeline(
        lively(fpdm.network("mlp", in_channels=2, width=8, condition_size=3))
    ),
    "flow": lambda: pipeline(tiny(), Diffusion("flow").scheduler()),
    "second order": lambda: pipeline(tiny(), Diffusion("flow").scheduler("heun")),
    "u-net": lambda: pipeline(
        lively(fpdm.network("fpunet", sample_size=8, in_channels=1, num_classes=3, width=8))
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("real", [False, True])
def test_every_kind_of_network_is_diagnosed(name, real):
    pipe = NETWORKS[name]()
    given = SMALL | {"budget": 32, "num": 2}
    if real:
        given |= {"images": torch.rand(2, *pipe.sample_shape) * 2 - 1, "num": None}
    found = diagnose(pipe, **given)
    assert found.real == real
    assert found.num == 2
    for each in found.findings:
        assert 0 < each.radius.median <= each.radius.worst < math.inf
        assert len(each.curves) == 9
        assert each.effect >= 0
    assert all(isinstance(sentence, str) for sentence in explain(found))


@pytest.mark.parametrize("interval", [1.0, 3.0])
def test_guided_or_not(interval):
    found = small(pipeline(tiny(init="reuse")), guidance_scale=interval, budget=20)
    assert found.guided == (interval != 1)
    assert len(found.findings) == 4


def test_conditions_and_labels_are_taken():
    pipe = NETWORKS["condition"]()
    condition = torch.randn(2, 3)
    found = small(pipe, condition=condition, num=None, budget=32)
    assert found.num == 2
    assert found != small(pipe, condition=condition + 1, num=None, budget=32)
    pipe = pipeline(tiny())
    assert small(pipe, class_labels=[2, 0], num=None, budget=20).num == 2


@pytest.mark.parametrize(
    ("prediction", "name"),
    [("v_prediction", name) for name in DIFFUSION] + [("flow", name) for name in FLOW_MATCHING],
)
@pytest.mark.parametrize("steps", [8, 15])
def test_real_samples_are_noised_as_the_scheduler_does(prediction, name, steps):
    """What the network sees is `α x + σ ε`, of the α and σ of the training at this timestep."""
    pipe = pipeline(tiny(), Diffusion(prediction).scheduler(name))
    images = torch.randn(2, 1, 4, 4)
    runs = plain_runs(pipe, 2, images=images, steps=steps, budget=40 * steps)
    seen = []
    hook = pipe.model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    counts = (1,) * len(runs.moments)
    with torch.no_grad():
        list(runs.along_images(counts=counts, init=None, solver=None))
    hook.remove()
    noise = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    training = Diffusion(prediction)
    for x, moment in zip(seen, runs.moments, strict=True):
        whole = float(moment.timestep).is_integer() or prediction == "flow"
        if whole:
            at = torch.full((2,), moment.timestep)
            at = at if prediction == "flow" else at.long()
            torch.testing.assert_close(x, training.noise(images, noise, at).x, rtol=1e-3, atol=1e-3)


def test_non_finite_samples_are_told_and_do_no_harm():
    pipe = affine(0.5)
    with torch.no_grad():
        pipe.model.layer.block.matrix.fill_(torch.nan)
    found = small(pipe, inits=["features", "reuse"])
    assert all(each.radius.median == math.inf for each in found.findings)
    assert all(math.isnan(each.effect) or each.effect >= 0 for each in found.findings)
    assert "not finite" in explain(found)[0]


@given(steps=st.integers(1, 400), most=st.integers(1, 40))
def test_timesteps_are_spread_evenly(steps, most):
    places = _spread_evenly(steps, most)
    assert len(places) == min(steps, most)
    assert len(set(places)) == len(places)
    assert sorted(places) == list(places)
    assert 0 <= places[0] <= places[-1] < steps
    if len(places) > 1:
        assert (places[0], places[-1]) == (0, steps - 1)
        gaps = [b - a for a, b in pairwise(places)]
        assert max(gaps) - min(gaps) <= 1 + (len(places) > 2)


def test_of_a_long_run_some_timesteps_are_looked_at():
    told = []
    found = small(
        pipeline(tiny()),
        budget=150,
        num_inference_steps=50,
        most=3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [each.index for each in found.findings] == [0, 24, 49]
    assert found.steps == 50
    assert told == [(done, 6) for done in range(1, 7)]


def test_a_run_of_one_timestep():
    found = small(pipeline(tiny()), num_inference_steps=1, inits=["features", "reuse"])
    assert len(found.findings) == 1
    assert found.findings[0].distance is None
    assert any("single timestep" in sentence for sentence in explain(found))


def test_iterations_are_those_that_an_adaptive_allocation_gave():
    pipe = pipeline(tiny())
    found = small(pipe, allocation="adaptive", budget=30)
    drawn = pipe(
        [0, 1, 2],
        budget=30,
        num_inference_steps=4,
        allocation="adaptive",
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
    )
    assert [each.iterations for each in found.findings] == [s.iterations for s in drawn.steps]


def test_components_are_called_as_they_were_given():
    anderson = fpdm.solver("anderson", memory=2)
    found = small(
        pipeline(tiny()), solvers=["naive", {"name": "naive", "damping": 0.5}, anderson], budget=20
    )
    assert found.solvers == ("naive", "naive:damping=0.5", repr(anderson))
    assert small(pipeline(tiny()), solvers={"mine": anderson}, budget=20).solvers == ("mine",)
    assert small(pipeline(tiny()), solvers="broyden", budget=20).solvers == ("broyden",)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"evals": 0}, InvalidValueError, "evals=0: must be a whole number ≥ 1"),
        ({"evals": 2.5}, InvalidValueError, "must be a whole number"),
        ({"most": 0}, InvalidValueError, "most=0"),
        ({"tol": 0}, InvalidValueError, "tol=0: must be a number > 0"),
        ({"tol": math.nan}, InvalidValueError, "tol=nan"),
        ({"seed": -1}, InvalidValueError, "seed=-1"),
        ({"num": 0}, InvalidValueError, "num=0: must be"),
        ({"num": True}, InvalidValueError, "num=True"),
        ({"solvers": []}, InvalidValueError, "must be a list of one solver or more"),
        ({"solvers": 3}, InvalidValueError, "must be a list of one solver or more"),
        ({"solvers": ["naive", "naive"]}, InvalidValueError, "naive is given twice"),
        ({"solvers": ["andersen"]}, UnknownNameError, "Did you mean 'anderson'"),
        ({"inits": ["reuse", None]}, InvalidValueError, "init=None: must be a name"),
        ({"inits": []}, InvalidValueError, "must be a list of one init or more"),
        ({"budget": 3}, BudgetError, "cannot pay for 4 steps"),
        ({"scheduler": "unpic"}, UnknownNameError, "Did you mean 'unipc'"),
        ({"class_labels": [0]}, InvalidValueError, "class_labels, num_images: give one"),
        ({"class_labels": [7], "num": None}, InvalidValueError, "7"),
        (
            {"class_labels": [], "num": None},
            InvalidValueError,
            "must be a list of whole numbers or names",
        ),
        ({"condition": torch.zeros(1, 3), "num": None}, InvalidValueError, "condition"),
        ({"images": torch.zeros(2, 1, 4, 4)}, InvalidValueError, "images, num: give one of them"),
        ({"images": torch.zeros(2, 4, 4), "num": None}, InvalidValueError, r"\(B, 1, 4, 4\)"),
        ({"images": [[0.0]], "num": None}, InvalidValueError, "images are list"),
        ({"images": torch.zeros(0, 1, 4, 4), "num": None}, InvalidValueError, "B ≥ 1"),
        (
            {"images": torch.full((1, 1, 4, 4), torch.nan), "num": None},
            InvalidValueError,
            "must be finite",
        ),
        (
            {"images": torch.zeros(2, 1, 4, 4), "class_labels": [1], "num": None},
            InvalidValueError,
            "must be as many",
        ),
    ],
)
def test_what_is_not_allowed_is_said_in_one_sentence(given, error, said):
    with pytest.raises(error, match=said) as raised:
        small(pipeline(tiny()), **{"budget": 20} | given)
    assert "\n" not in str(raised.value)


def test_an_explicit_network_has_nothing_to_diagnose():
    with pytest.raises(InvalidValueError, match="A DiT has no implicit layer"):
        small(pipeline(tiny_dit(depth=2)))
    with pytest.raises(InvalidValueError, match="must be a pipeline"):
        small(tiny())
