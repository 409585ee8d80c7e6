"""Hypothesis strategies: budgets, shapes, dtypes and problems. Needs hypothesis."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from fpdm.testing import problems as made
from fpdm.testing.problems import Problem

seeds = st.integers(0, 2**31 - 1)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.bfloat16])
exact_dtypes = st.sampled_from([torch.float32, torch.float64])


@st.composite
def affordable(draw: st.DrawFn, *, most: int = 300) -> tuple[int, int]:
    """Draw a budget of iterations and a number of timesteps that it can pay for.

    Args:
        draw: comes from hypothesis, and is left out by the caller.
        most: timesteps.

    Returns:
        A strategy for `(budget, steps)`, with `steps` ≤ `budget` ≤ 30 `steps`.
    """
    steps = draw(st.integers(1, most))
    return draw(st.integers(steps, 30 * steps)), steps


@st.composite
def shapes(draw: st.DrawFn, *, least: int = 0) -> tuple[int, ...]:
    """Draw a shape: (B,), (B, D), (B, N, D) or (B, C, H, W).

    Args:
        draw: comes from hypothesis, and is left out by the caller.
        least: samples.

    Returns:
        A strategy for shapes of at most 4 in each dimension.
    """
    batch = draw(st.integers(least, 4))
    rest = draw(st.lists(st.integers(1, 4), min_size=0, max_size=3))
    return (batch, *rest)


@st.composite
def problems(
    draw: st.DrawFn, *, least: int = 1, dtypes: st.SearchStrategy[torch.dtype] = exact_dtypes
) -> Problem:
    """Draw an affine map, a cosine or a small network that shrinks distances by up to 0.9.

    Args:
        draw: comes from hypothesis, and is left out by the caller.
        least: samples.
        dtypes: a strategy for the dtype of the start.

    Returns:
        A strategy for a [`Problem`][fpdm.testing.Problem].
    """
    make = draw(st.sampled_from([made.affine, made.cosine, made.network]))
    return make(
        draw(shapes(least=least)),
        factor=draw(st.floats(0.05, 0.9)),
        seed=draw(seeds),
        dtype=draw(dtypes),
    )
