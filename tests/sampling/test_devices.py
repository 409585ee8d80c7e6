"""On a device that is not the CPU nothing is mixed with what lies elsewhere, and nothing waits."""

import pytest
import torch

import fpdm
from tests.built_ins import built_ins
from tests.elsewhere import DEVICE, Elsewhere
from tests.toys import tiny, tiny_dit

SOLVERS = [
    ("naive", {}),
    ("anderson", {}),
    ("anderson", {"carry": True}),
    ("anderson", {"kind": "I"}),
    ("anderson", {"mixing": 0.5}),
    ("broyden", {}),
    ("broyden", {"carry": True}),
]
SCHEDULERS = [
    *((fpdm.DPMScheduler, name) for name in ("dpm++", "ddim", "ddpm", "unipc")),
    (fpdm.FlowScheduler, "euler"),
]


def test_every_solver_of_ours_is_looked_at():
    ours = [name for name in built_ins()["solver"] if not name.startswith("torchdeq-")]
    assert {name for name, _ in SOLVERS} == set(ours)


@pytest.mark.parametrize("evals", [1, 2, 3, 12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "options"), SOLVERS)
def test_a_solve_stays_where_its_state_is(name, options, dtype, evals):
    x0, slope, offset = (torch.empty(4, 3, 5, dtype=dtype, device=DEVICE) for _ in range(3))
    solver = fpdm.solver(name, **options)

    def f(z):
        return torch.addcmul(offset, slope, z)

    with torch.no_grad(), Elsewhere() as seen:
        carry = solver.solve(f, x0, evals=evals).carry
        if options.get("carry"):
            solver.solve(f, x0, evals=evals, carry=carry)
    assert seen.mixed == []
    assert seen.looks == 0


@pytest.mark.parametrize(("scheduler", "name"), SCHEDULERS)
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "naive", "init": "features"},
        {"solver": "broyden", "init": "extrapolate"},
        {"init": "reuse"},
        {"init": "reuse", "guidance_scale": 3.0},
    ],
)
def test_a_run_stays_there_and_looks_once_at_what_it_has_made(options, scheduler, name):
    pipe = fpdm.FPDMPipeline(tiny().to(DEVICE), scheduler())
    seen = drawn(pipe, scheduler=name, **options)
    assert seen.mixed == []
    assert seen.looks == 1


@pytest.mark.parametrize(("scheduler", "name"), SCHEDULERS)
def test_so_does_a_run_of_an_explicit_network(scheduler, name):
    seen = drawn(fpdm.FPDMPipeline(tiny_dit().to(DEVICE), scheduler()), scheduler=name)
    assert seen.mixed == []
    assert seen.looks == 1


def test_what_lies_elsewhere_is_seen():
    here, there = torch.zeros(()), torch.empty(2, device=DEVICE)
    with Elsewhere() as seen:
        torch.addcdiv(here, there, there)
        there.cpu()
    assert seen.mixed == ["aten.addcdiv.default"]
    assert seen.looks == 1


def drawn(pipe, **options) -> Elsewhere:
    """What is seen of a run of eight timesteps."""
    pipe.set_progress_bar_config(disable=True)
    each = pipe.model.pre_passes + pipe.model.post_passes
    each += 2 * hasattr(pipe.model, "layer")
    with Elsewhere() as seen:
        pipe(
            [0, 1],
            budget=8 * each,
            num_inference_steps=8,
            output_type="latent",
            **options,
        )
    return seen
