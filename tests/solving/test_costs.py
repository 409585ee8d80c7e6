"""What a solve costs beyond the evaluations of `f`, counted in bytes and operations."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import fpdm
from fpdm.counting import Counted
from tests.toys import peak_bytes

SHAPE = (8, 65_536)


def peak_states(run) -> float:
    """The most bytes allocated at a time, in states."""
    return peak_bytes(run) / (4 * SHAPE[0] * SHAPE[1])


@pytest.mark.parametrize(
    ("name", "options", "states"),
    [
        ("naive", {}, 6),
        *(("anderson", {"memory": m}, 2 * m + 8) for m in (1, 3, 6, 10)),
        ("anderson", {"memory": 6, "kind": "I"}, 20),
        *(("broyden", {"rank": rank}, 2 * rank + 8) for rank in (1, 6, 10, 20)),
    ],
)
def test_peak_memory(name, options, states):
    x0, slope = torch.randn(SHAPE), torch.rand(SHAPE)
    solver = fpdm.solver(name, **options)
    with torch.no_grad():
        assert peak_states(lambda: solver.solve(lambda z: slope * z + 1, x0, evals=25)) <= states


@pytest.mark.parametrize("name", ["anderson", "broyden"])
def test_a_short_solve_does_not_pay_for_a_long_memory(name):
    option = {"anderson": "memory", "broyden": "rank"}[name]
    x0, slope = torch.randn(SHAPE), torch.rand(SHAPE)
    solver = fpdm.solver(name, **{option: 500})
    with torch.no_grad():
        assert peak_states(lambda: solver.solve(lambda z: slope * z + 1, x0, evals=5)) <= 24


@pytest.mark.parametrize("name", ["naive", "anderson", "broyden"])
def test_one_evaluation_is_one_plain_step_bit_for_bit(name):
    x0, calls = torch.randn(4, 5, 6), []

    def f(z):
        calls.append(z)
        return torch.sin(3 * z) + 0.1

    solution = fpdm.solver(name).solve(f, x0, evals=1)
    assert torch.equal(solution.value, f(x0))
    assert calls[0] is x0


@pytest.mark.parametrize("name", ["naive", "anderson", "broyden"])
def test_the_last_evaluation_is_not_followed_by_a_step_that_nobody_sees(name):
    solver, steps = fpdm.solver(name), []

    class Watched(type(solver)):
        def step(self, evaluation, state):
            steps.append(evaluation)
            return super().step(evaluation, state)

    Watched().solve(Counted(torch.cos), torch.zeros(2), evals=4)
    assert len(steps) == (4 if name == "naive" else 3)


def test_plain_iteration_takes_the_residual_once():
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        fpdm.solver("naive").solve(torch.cos, torch.zeros(2, 3), evals=50)
    count = {event.key: event.count for event in seen.key_averages()}
    assert count["aten::linalg_vector_norm"] == 2
    assert count["aten::cos"] == 50
