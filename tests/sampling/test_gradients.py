"""The derivative of a whole run, against finite differences of it."""

import pytest
import torch

import fpdm
from tests.built_ins import built_ins
from tests.toys import tiny

SOLVERS = [
    *((name, {}) for name in built_ins()["solver"]),
    *((name, {"carry": True}) for name in ("anderson", "broyden")),
    ("anderson", {"carry": True, "kind": "I"}),
    ("anderson", {"carry": True, "mixing": 0.5}),
]


def run(model, scale, *, solver, init, guidance=1.0):
    """What a run draws, pulled together to a number, (): from noise and weights that grow."""
    scheduler = fpdm.EvenDDIMScheduler()
    scheduler.set_timesteps(4)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=rng)
    sampling = fpdm.sample(
        *(model, scheduler, noise * scale, torch.tensor([0, 2])),
        budget=20,
        solver=solver,
        init=init,
        guidance_scale=guidance,
    )
    weight = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=rng)
    return (list(sampling)[-1].sample * weight).sum()


@pytest.mark.parametrize("init", built_ins()["init"])
@pytest.mark.parametrize(("name", "options"), SOLVERS)
def test_the_gradient_through_a_run_is_that_of_the_run(name, options, init):
    model, solver = tiny().double(), fpdm.solver(name, **options)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    run(model, scale, solver=solver, init=init).backward()
    step = 1e-5
    with torch.no_grad():
        up, down = (run(model, 1 + s, solver=solver, init=init) for s in (step, -step))
    assert scale.grad.item() == pytest.approx((up - down).item() / (2 * step), rel=1e-5)


@pytest.mark.parametrize(("name", "options"), SOLVERS)
def test_so_is_that_of_the_weights(name, options):
    model, solver = tiny().double(), fpdm.solver(name, **options)
    parameter = model.layer.block.block.modulation.bias
    run(model, 1.0, solver=solver, init="reuse", guidance=2.0).backward()
    rng, step = torch.Generator().manual_seed(1), 1e-5
    along = torch.randn(parameter.shape, dtype=torch.float64, generator=rng)
    found = []
    with torch.no_grad():
        for sign in (1, -1):
            parameter.add_(along, alpha=sign * step)
            found.append(run(model, 1.0, solver=solver, init="reuse", guidance=2.0).item())
            parameter.sub_(along, alpha=sign * step)
    expected = (found[0] - found[1]) / (2 * step)
    assert (parameter.grad * along).sum().item() == pytest.approx(expected, rel=1e-5)
