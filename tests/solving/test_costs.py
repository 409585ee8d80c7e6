"""What a solve costs beyond the evaluations of `f`, counted in bytes and operations."""

from functools import partial

import pytest
import torch

import fpdm
from fpdm import batch
from fpdm.counting import Counted
from tests.operations import operations
from tests.toys import peak_bytes

SHAPE = (8, 65_536)


def peak_states(run) -> int:
    """The most bytes allocated at a time, in states; small matrices make none."""
    return peak_bytes(run) // (4 * SHAPE[0] * SHAPE[1])


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
    seen = operations(lambda: fpdm.solver("naive").solve(torch.cos, torch.zeros(2, 3), evals=20))
    assert seen["aten::sub"] == 1
    assert seen["aten::linalg_vector_norm"] == 2
    assert seen["aten::sum"] == 20  # of each image, to see whether it is finite
    assert seen["aten::cos"] == 20


def cost(solver, *, dtype=torch.float32) -> float:
    """Operations beyond `f`, per evaluation, while the solve is going on."""
    rng = torch.Generator().manual_seed(0)
    x0, offset = torch.randn(2, 4, 70, generator=rng).to(dtype)
    slope = 0.9 * torch.rand(4, 70, generator=rng).to(dtype)
    fewest, most = (8, 16) if dtype == torch.float32 else (3, 6)  # before rounding is all there is
    few, many = (
        operations(
            lambda evals=evals: solver.solve(
                lambda z: torch.addcmul(offset, slope, z), x0, evals=evals
            )
        ).total()
        for evals in (fewest, most)
    )
    return (many - few) / (most - fewest) - 1


LIMITS = [
    ("naive", {}, 4, 4),
    *(("anderson", {"memory": m, "carry": c}, 36, 36) for m in (1, 6, 10) for c in (False, True)),
    ("anderson", {"mixing": 0.5}, 36, 37),
    ("anderson", {"kind": "I"}, 36, 41),
    *(("broyden", {"rank": rank, "carry": rank == 6}, 40, 40) for rank in (1, 6, 30)),
]


@pytest.mark.parametrize(("name", "options", "most", "_"), LIMITS)
def test_an_evaluation_costs_few_operations(name, options, most, _):
    assert cost(fpdm.solver(name, **options)) <= most


@pytest.mark.parametrize(("name", "options", "_", "most"), LIMITS)
def test_so_it_does_where_nobody_can_look_at_a_mask(name, options, _, most, monkeypatch):
    wide = partial(torch.linalg.vector_norm, dim=-1, dtype=torch.float64)
    monkeypatch.setattr(batch, "lengths", wide)
    monkeypatch.setattr(batch, "look", lambda _: None)
    empty = 1  # which is no launch
    assert cost(fpdm.solver(name, **options)) <= most + empty


@pytest.mark.parametrize(("name", "most"), [("naive", 4), ("anderson", 37), ("broyden", 41)])
def test_half_precision_costs_no_casts_of_the_whole_state_but_two(name, most):
    assert cost(fpdm.solver(name), dtype=torch.bfloat16) <= most
