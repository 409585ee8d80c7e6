"""What Irons-Tuck relaxation promises beyond the contract of a solver."""

from collections.abc import Callable

import fpdm
import pytest
import torch
from fpdm.counting import Counted
from fpdm.errors import InvalidValueError
from fpdm.testing import Problem, affine, network

from fpdm_example import IronsTuck


def test_two_evaluations_solve_a_straight_line() -> None:
    slopes = torch.tensor([[0.9], [-0.5], [0.2]], dtype=torch.float64)
    offset = torch.ones(3, 1, dtype=torch.float64)
    start = torch.zeros_like(offset)
    found = IronsTuck(most=100.0).solve(lambda z: slopes * z + offset, start, evals=3)
    torch.testing.assert_close(found.value, offset / (1 - slopes))


def test_a_stiff_contraction_takes_fewer_evaluations_than_plain_iteration() -> None:
    slopes = torch.linspace(0, 0.99, 50, dtype=torch.float64)
    made = {}
    for solver in (IronsTuck(), fpdm.solver("naive")):
        f = Counted(lambda z: slopes * z + 1)
        start = torch.zeros(1, 50, dtype=torch.float64)
        found = solver.solve(f, start, evals=5000, tol=1e-8)
        assert found.status.tolist() == [fpdm.Status.CONVERGED]
        made[solver.name] = f.count
    assert made["irons-tuck"] < made["naive"] / 2


@pytest.mark.parametrize("make", [affine, network])
@pytest.mark.parametrize("factor", [0.3, 0.9, 0.97])
def test_what_plain_iteration_solves_it_solves_too(
    make: Callable[..., Problem], factor: float
) -> None:
    problem = make((60, 4), factor=factor, seed=0)
    for solver in (IronsTuck(), fpdm.solver("naive")):
        found = solver.solve(problem.f, problem.x0, evals=1000)
        assert problem.error(found.value) < 1e-10


def test_the_relaxation_stays_within_its_bounds() -> None:
    slope = 0.999  # the secant asks for a thousand times the residual
    found = IronsTuck(most=1.0).solve(lambda z: slope * z + 1, torch.zeros(1, 1), evals=30)
    plain = fpdm.solver("naive").solve(lambda z: slope * z + 1, torch.zeros(1, 1), evals=30)
    torch.testing.assert_close(found.value, plain.value)


@pytest.mark.parametrize("options", [{"first": 0.0}, {"least": 1.5}, {"most": 0.5}])
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError, match=r"must be"):
        IronsTuck(**options)
