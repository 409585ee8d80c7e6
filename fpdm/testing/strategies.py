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
    """Iterations and timesteps that they can pay for."""
    steps = draw(st.integers(1, most))
    return draw(st.integers(steps, 30 * steps)), steps


@st.composite
def shapes(draw: st.DrawFn, *, least: int = 0) -> tuple[int, ...]:
    """(B,), (B, D), (B, N, D) or (B, C, H, W), with at least `least` samples."""
    batch = draw(st.integers(least, 4))
    rest = draw(st.lists(st.integers(1, 4), min_size=0, max_size=3))
    return (batch, *rest)


@st.composite
def problems(
    draw: st.DrawFn, *, least: int = 1, dtypes: st.SearchStrategy[torch.dtype] = exact_dtypes
) -> Problem:
    """Affine maps, cosines and small networks that shrink distances by up to 0.9."""
    make = draw(st.sampled_from([made.affine, made.cosine, made.network]))
    return make(
        draw(shapes(least=least)),
        factor=draw(st.floats(0.05, 0.9)),
        seed=draw(seeds),
        dtype=draw(dtypes),
    )
