"""With a tolerance a sample that has stopped leaves the batch, and the others do not notice."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fpdm
from fpdm.counting import Counted
from fpdm.errors import PluginError
from fpdm.models import Bound
from fpdm.testing.strategies import seeds
from tests.built_ins import built_ins

SOLVERS = built_ins()["solver"]
OURS = [("naive", {}), ("anderson", {}), ("anderson", {"kind": "I"}), ("broyden", {})]
CARRYING = [("anderson", {}), ("anderson", {"kind": "I"}), ("broyden", {"rank": 3})]
WIDTH = 5


class Rows:
    """A map of samples that contract differently, which notes how many it is evaluated for."""

    def __init__(self, seed: int, samples: int, *, lost: int | None = None) -> None:
        rng = torch.Generator().manual_seed(seed)
        options = {"generator": rng, "dtype": torch.float64}
        self.slope = 0.95 * torch.rand(samples, 1, **options) ** 2
        self.offset = torch.randn(samples, WIDTH, **options)
        if lost is not None:
            self.offset[lost] = torch.inf
        self.seen: list[int] = []

    def __call__(self, z, slope=None, offset=None):
        slope, offset = (self.slope, self.offset) if slope is None else (slope, offset)
        self.seen.append(len(z))
        return slope * torch.sin(z) + offset

    def bound(self) -> Bound:
        return Bound(self, self.slope, self.offset)


batches = st.integers(1, 7)
tolerances = st.floats(-8, -0.5).map(lambda power: 10.0**power)


@pytest.mark.parametrize("name", SOLVERS)
@given(seed=seeds, samples=batches, evals=st.integers(1, 20), tol=tolerances)
def test_a_batch_that_is_left_is_solved_as_one_that_is_not(name, seed, samples, evals, tol):
    narrow, whole = Rows(seed, samples), Rows(seed, samples)
    x0 = torch.zeros(samples, WIDTH, dtype=torch.float64)
    solve = {"evals": evals, "tol": tol}
    left = fpdm.solver(name).solve(narrow.bound(), x0, **solve)
    kept = fpdm.solver(name).solve(whole, x0, **solve)
    assert torch.equal(left.value, kept.value)
    assert torch.equal(left.residual, kept.residual)
    assert torch.equal(left.status, kept.status)
    assert left.evals == kept.evals == len(narrow.seen) == len(whole.seen)


@pytest.mark.parametrize("name", SOLVERS)
@given(seed=seeds, samples=batches, evals=st.integers(0, 20), tol=tolerances, lose=st.booleans())
def test_counts_are_the_rows_that_were_evaluated(name, seed, samples, evals, tol, lose):
    rows = Rows(seed, samples, lost=0 if lose else None)
    x0 = torch.zeros(samples, WIDTH, dtype=torch.float64)
    solution = fpdm.solver(name).solve(rows.bound(), x0, evals=evals, tol=tol)
    assert solution.counts.dtype == torch.int64
    assert solution.counts.shape == (samples,)
    assert solution.counts.sum() == sum(rows.seen) == solution.spent * samples
    assert solution.counts.max() == solution.evals <= evals
    assert rows.seen == sorted(rows.seen, reverse=True)
    if lose and evals:
        assert solution.counts[0] == 1


@pytest.mark.parametrize(("name", "options"), OURS)
@given(seed=seeds, samples=batches, evals=st.integers(1, 12), tol=tolerances)
def test_a_sample_takes_what_it_takes_alone(name, options, seed, samples, evals, tol):
    rows = Rows(seed, samples)
    x0 = torch.zeros(samples, WIDTH, dtype=torch.float64)
    solver = fpdm.solver(name, **options)
    together = solver.solve(rows.bound(), x0, evals=evals, tol=tol)
    for index in range(samples):
        alone = solver.solve(
            rows.bound().select(torch.tensor([index])), x0[[index]], evals=evals, tol=tol
        )
        assert alone.counts.item() == together.counts[index]
        torch.testing.assert_close(alone.value[0], together.value[index])


@pytest.mark.parametrize(("name", "options"), CARRYING)
@given(seed=seeds, samples=batches, tol=tolerances)
def test_what_is_carried_is_that_of_a_batch_that_is_not_left(name, options, seed, samples, tol):
    x0 = torch.zeros(samples, WIDTH, dtype=torch.float64)
    solver = fpdm.solver(name, carry=True, **options)

    def run(narrow: bool) -> list[torch.Tensor]:
        found, carry, value = [], None, x0
        for step in range(3):
            rows = Rows(seed, samples)
            rows.offset += 0.1 * step
            f = rows.bound() if narrow else rows
            solution = solver.solve(f, value, evals=5, tol=tol, carry=carry)
            value, carry = solution.value, solution.carry
            found.append(value)
        return found

    assert all(map(torch.equal, run(narrow=True), run(narrow=False)))


@pytest.mark.parametrize("name", SOLVERS)
@given(seed=seeds, samples=batches, tol=tolerances)
def test_a_gradient_is_that_of_a_batch_that_is_not_left(name, seed, samples, tol):
    def slope(narrow: bool) -> torch.Tensor:
        rows = Rows(seed, samples)
        rows.offset.requires_grad_()
        x0 = torch.zeros(samples, WIDTH, dtype=torch.float64)
        f = rows.bound() if narrow else rows
        fpdm.solver(name).solve(f, x0, evals=6, tol=tol).value.sum().backward()
        return rows.offset.grad

    torch.testing.assert_close(slope(narrow=True), slope(narrow=False), equal_nan=True)


def test_without_a_tolerance_nobody_counts():
    solution = fpdm.solver("anderson").solve(torch.cos, torch.zeros(2, 3), evals=4)
    assert solution.counts is None
    assert solution.spent == 4


def test_where_the_map_cannot_be_had_for_some_all_are_counted():
    rows = Rows(0, 4)
    x0 = torch.zeros(4, WIDTH, dtype=torch.float64)
    solution = fpdm.solver("naive").solve(rows, x0, evals=30, tol=1e-3)
    assert set(rows.seen) == {4}
    assert solution.counts.tolist() == [solution.evals] * 4


def test_a_part_is_counted_too():
    counted = Counted(Rows(0, 3).bound(), granted=2)
    x0 = torch.zeros(3, WIDTH, dtype=torch.float64)
    part = counted.select(torch.tensor([0, 2]))
    counted(x0)
    part(x0[:2])
    assert counted.counts(3, torch.device("cpu")).tolist() == [2, 1, 2]
    with pytest.raises(PluginError, match="evaluation 3 of f with 2 granted"):
        part(x0[:2])


@pytest.mark.parametrize("name", ["fpdit", "mlp", "fpunet"])
@given(seed=seeds)
def test_a_part_of_a_network_is_evaluated_as_in_the_whole(name, seed):
    sizes = {"fpdit": {"hidden_size": 8, "num_heads": 2}, "mlp": {"width": 8}, "fpunet": {}}
    torch.manual_seed(seed)
    model = fpdm.network(name, sample_size=8, in_channels=1, num_classes=3, **sizes[name]).eval()
    seen = []

    class Watching(fpdm.FixedPointSolver):
        def solve(self, f, x0, **_):
            rows = torch.tensor([3, 1])
            seen.append((f(x0)[rows], f.select(rows)(x0[rows])))
            return fpdm.solver("naive").solve(lambda z: z, x0, evals=0)

    x = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        model(x, timestep=500, class_labels=torch.arange(4), evals=2, solver=Watching())
    torch.testing.assert_close(*seen[0], rtol=1e-4, atol=1e-5)
