"""Anderson and Broyden against their equations, written plainly in numpy for one sample."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fpdm
from fpdm.testing import network
from fpdm.testing.strategies import seeds


class Anderson:
    """Differences in lists; gamma by least squares, or by the square system of type I."""

    def __init__(self, memory: int, mixing: float, kind: str, ridge: float) -> None:
        self.forgets = kind == "II"
        self.memory, self.mixing, self.kind = memory, mixing, kind
        self.ridge = ridge if kind == "II" else -ridge
        self.steps, self.changes = [], []

    def forget(self) -> None:
        self.steps, self.changes = [], []

    def learn(self, step, change) -> None:
        self.steps = [*self.steps, step][-self.memory :]
        self.changes = [*self.changes, change][-self.memory :]

    def next(self, z, residual):
        if self.steps:
            s, y = np.stack(self.steps, axis=1), np.stack(self.changes, axis=1)
            tests = y if self.kind == "II" else s
            matrix = tests.T @ y + self.ridge * np.diag((tests**2).sum(axis=0))
            gamma = np.linalg.solve(matrix, tests.T @ residual)
            z, residual = z - s @ gamma, residual - y @ gamma
        return z + self.mixing * residual


class Broyden:
    """A dense inverse Jacobian, updated by Sherman and Morrison."""

    forgets = False

    def __init__(self) -> None:
        self.inverse = None

    def learn(self, step, change) -> None:
        if self.inverse is None:
            self.inverse = -np.eye(len(step))
        h = self.inverse
        self.inverse = h + np.outer(step - h @ change, step @ h) / (step @ h @ change)

    def next(self, z, residual):
        return z + residual if self.inverse is None else z - self.inverse @ residual


def iterate(method, f, z, *, evals: int, safeguard: float):
    """The images and gaps of every evaluation, and the number of rejected ones."""
    images, gaps, rejections, last, accelerated = [], [], 0, None, False
    for _ in range(evals):
        image = f(z)
        residual = image - z
        images.append(image)
        gaps.append(np.linalg.norm(residual))
        rejected = accelerated and gaps[-1] > safeguard * gaps[-2]
        if rejected and method.forgets:
            method.forget()
        elif last is not None:
            method.learn(z - last[0], residual - last[1])
        accelerated = last is not None and not rejected
        following = images[-2] if rejected else method.next(z, residual)
        rejections += rejected
        last, z = (z, residual), following
    return images, gaps, rejections


def compare(name: str, method, problem, evals: int, *, safeguard: float, **options) -> int:
    def f(z):
        return problem.f(torch.from_numpy(z)[None])[0].numpy()

    images, gaps, rejections = iterate(
        method, f, problem.x0[0].numpy(), evals=evals, safeguard=safeguard
    )
    solver = fpdm.solver(name, safeguard=safeguard, **options)
    found = solver.solve(problem.f, problem.x0, evals=evals)
    best = len(gaps) - 1 - int(np.argmin(gaps[::-1]))
    np.testing.assert_allclose(found.value[0].numpy(), images[best], rtol=1e-5, atol=1e-5)
    relative = gaps[best] / np.linalg.norm(images[best])
    assert found.residual.item() == pytest.approx(relative, rel=1e-3, abs=1e-6)
    assert found.absolute_residual.item() == pytest.approx(gaps[best], rel=1e-3, abs=1e-6)
    return rejections


@given(
    seed=seeds,
    evals=st.integers(1, 7),
    memory=st.integers(1, 4),
    mixing=st.sampled_from([1.0, 0.5]),
    kind=st.sampled_from(["I", "II"]),
    ridge=st.sampled_from([0.0, 1e-3]),
)
def test_anderson_equals_its_equations(seed, evals, memory, mixing, kind, ridge):
    problem = network((1, 12), factor=0.9, seed=seed)
    options = {"memory": memory, "mixing": mixing, "kind": kind, "ridge": ridge}
    compare("anderson", Anderson(**options), problem, evals, safeguard=2.0, **options)


@given(seed=seeds, evals=st.integers(1, 8), safeguard=st.sampled_from([1.0, 5.0]))
def test_broyden_equals_its_equations(seed, evals, safeguard):
    problem = network((1, 12), factor=0.9, seed=seed)
    compare("broyden", Broyden(), problem, evals, safeguard=safeguard, rank=10)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("anderson", {"memory": 4, "mixing": 1.0, "kind": "II", "ridge": 0.0}),
        # what a rejection leaves in memory makes the equations of type I singular
        ("anderson", {"memory": 4, "mixing": 1.0, "kind": "I", "ridge": 1e-3}),
        ("broyden", {"rank": 10}),
    ],
)
def test_a_rejection_follows_its_rule(name, options):
    rejections = 0
    for seed in range(80):
        problem = network((1, 12), factor=3.0, seed=seed)  # no contraction: steps go wrong
        method = Anderson(**options) if name == "anderson" else Broyden()
        rejections += compare(name, method, problem, 7, safeguard=1.0, **options)
    assert rejections > 10


@given(seed=seeds, rank=st.integers(1, 4))
def test_a_limited_broyden_is_that_of_its_newest_updates(seed, rank):
    problem = network((1, 12), factor=0.7, seed=seed)
    z = problem.x0
    limited = fpdm.solver("broyden", rank=rank, safeguard=1e6)
    state, pairs = limited.start(z), []
    last = None
    for _ in range(rank + 3):
        image = problem.f(z)
        if last is not None:
            pairs.append((z - last[0], (image - z) - (last[1] - last[0])))
        last = (z, image)
        following, state = limited.advance(z, image, state)
        dense = Broyden()
        for step, change in pairs[-rank:]:
            dense.learn(step[0].numpy(), change[0].numpy())
        expected = dense.next(z[0].numpy(), (image - z)[0].numpy())
        np.testing.assert_allclose(following[0].numpy(), expected, rtol=1e-6, atol=1e-6)
        z = following
