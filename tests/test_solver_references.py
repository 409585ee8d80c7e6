"""Anderson and Broyden against their equations, written plainly in numpy for one sample."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fpdm
from fpdm.testing import network
from fpdm.testing.strategies import seeds


def anderson(f, z, *, evals: int, memory: int, mixing: float, safeguard: float):
    """The images and gaps of every evaluation, and the number of rejected ones."""
    images, gaps, rejections = [], [], 0
    d_images, d_residuals, trusted, extrapolated = [], [], None, False
    for _ in range(evals):
        image = f(z)
        residual = image - z
        images.append(image)
        gaps.append(np.linalg.norm(residual))
        if trusted is not None:
            if extrapolated and gaps[-1] > safeguard * np.linalg.norm(trusted[1]):
                rejections += 1
                d_images, d_residuals = [], []
                image, residual = trusted
            else:
                d_images = [*d_images, image - trusted[0]][-memory:]
                d_residuals = [*d_residuals, residual - trusted[1]][-memory:]
        trusted, extrapolated = (image, residual), bool(d_images)
        if d_images:
            columns = np.stack(d_residuals, axis=1)
            gamma = np.linalg.lstsq(columns, residual, rcond=None)[0]
            image = image - np.stack(d_images, axis=1) @ gamma
            residual = residual - columns @ gamma
        z = image - (1 - mixing) * residual
    return images, gaps, rejections


def broyden(f, z, *, evals: int, safeguard: float):
    """Likewise, with a dense inverse Jacobian."""
    images, gaps, rejections = [], [], 0
    inverse, trusted, last = -np.eye(len(z)), None, None
    for _ in range(evals):
        image = f(z)
        g = image - z
        images.append(image)
        gaps.append(np.linalg.norm(g))
        if trusted is not None:
            s, y = z - trusted[0], g - trusted[1]
            inverse = inverse + np.outer(s - inverse @ y, s @ inverse) / (s @ inverse @ y)
            if last and gaps[-1] > safeguard * np.linalg.norm(trusted[1]):
                rejections += 1
                z, g = trusted
        last, trusted = trusted is not None, (z, g)
        z = z - inverse @ g
    return images, gaps, rejections


def compare(name: str, reference, problem, evals: int, options: dict, run: dict) -> int:
    def f(z):
        return problem.f(torch.from_numpy(z)[None])[0].numpy()

    images, gaps, rejections = reference(f, problem.x0[0].numpy(), evals=evals, **run)
    found = fpdm.solver(name, **options).solve(problem.f, problem.x0, evals=evals)
    best = len(gaps) - 1 - int(np.argmin(gaps[::-1]))
    np.testing.assert_allclose(found.value[0].numpy(), images[best], rtol=1e-5, atol=1e-5)
    relative = gaps[best] / np.linalg.norm(images[best])
    assert found.residual.item() == pytest.approx(relative, rel=1e-3, abs=1e-6)
    return rejections


@given(
    seed=seeds,
    evals=st.integers(1, 7),
    memory=st.integers(1, 4),
    mixing=st.sampled_from([1.0, 0.5]),
    safeguard=st.sampled_from([1.0, 2.0]),
)
def test_anderson_equals_its_equations(seed, evals, memory, mixing, safeguard):
    problem = network((1, 12), factor=0.9, seed=seed)
    run = {"memory": memory, "mixing": mixing, "safeguard": safeguard}
    compare("anderson", anderson, problem, evals, run | {"ridge": 0.0}, run)


@given(seed=seeds, evals=st.integers(1, 8), safeguard=st.sampled_from([1.0, 5.0]))
def test_broyden_equals_its_equations(seed, evals, safeguard):
    problem = network((1, 12), factor=0.9, seed=seed)
    run = {"safeguard": safeguard}
    compare("broyden", broyden, problem, evals, run | {"rank": 10}, run)


@pytest.mark.parametrize("name", ["anderson", "broyden"])
def test_a_rejection_follows_its_rule(name):
    rejections = 0
    for seed in range(80):
        problem = network((1, 12), factor=3.0, seed=seed)  # no contraction: steps go wrong
        run = {"safeguard": 1.0} | ({"memory": 4, "mixing": 1.0} if name == "anderson" else {})
        extra = {"ridge": 0.0} if name == "anderson" else {"rank": 10}
        reference = anderson if name == "anderson" else broyden
        rejections += compare(name, reference, problem, 7, run | extra, run)
    assert rejections > 10
