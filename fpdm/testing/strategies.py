"""Hypothesis strategies: budgets, shapes, dtypes and problems. Needs hypothesis."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st

from fpdm.solution import Moment
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


SORTS = ("known", "unknown", "from pure noise", "twice each")
"""Of runs: a timestep may be visited twice, and its log-SNR may be `-inf`, or not be known."""

sorts = st.sampled_from(SORTS)


def moments(steps: int, sort: str = "known") -> tuple[Moment, ...]:
    """Make the moments of a run.

    Args:
        steps: timesteps, ≥ 1.
        sort: one of `SORTS`.

    Returns:
        As many moments, noisiest first.

    Examples:
        >>> [moment.timestep for moment in moments(3)]
        [999.0, 666.0, 333.0]
    """
    found: list[Moment] = []
    for index in range(steps):
        before = found[-1] if found else None
        place = index - index % 2 if sort == "twice each" else index
        timestep, level = 999.0 * (steps - place) / steps, 14.0 * place / steps - 5
        if sort == "from pure noise" and not index:
            level = -math.inf
        if sort == "unknown":
            found.append(Moment(index, steps, previous=before))
        else:
            found.append(Moment(index, steps, timestep, level, before))
    return tuple(found)


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
