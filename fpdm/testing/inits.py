"""The laws of an init strategy."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fpdm.interfaces import InitStrategy
from fpdm.solution import Solution, Status
from fpdm.testing.laws import Law, check, quick
from fpdm.testing.strategies import dtypes, seeds, shapes


def check_init(init: type[InitStrategy] | InitStrategy) -> None:
    """Hold an init strategy to its contract: shape and dtype, any history, nothing overwritten.

    Args:
        init: a class that can be built without arguments, or an object.

    Raises:
        AssertionError: a law is broken; the message says which.
    """
    check(init, base=InitStrategy, laws=LAWS)


def keeps_shape_and_dtype(init: InitStrategy) -> None:
    """The start is shaped and typed like the features, and finite, however short the history."""

    @quick
    @given(shape=shapes(), dtype=dtypes, seed=seeds, past=st.integers(0, 4))
    def run(shape: tuple[int, ...], dtype: torch.dtype, seed: int, past: int) -> None:
        features, history = _run(shape, dtype, seed, min(past, init.lookback))
        start = init.initial(features, history)
        assert start.shape == features.shape, f"{tuple(shape)} became {tuple(start.shape)}."
        assert start.dtype == features.dtype, f"{dtype} became {start.dtype}."
        assert start.isfinite().all(), "The start is not finite."

    run()


def states_its_lookback(init: InitStrategy) -> None:
    """`lookback` is a whole number ≥ 0, and no solution further back changes the start."""
    assert isinstance(init.lookback, int), f"lookback={init.lookback!r}"
    assert init.lookback >= 0, f"lookback={init.lookback!r}"
    features, history = _run((2, 3), torch.float64, 0, init.lookback + 2)
    recent = history[len(history) - init.lookback :]
    assert torch.equal(init.initial(features, history), init.initial(features, recent)), (
        f"lookback={init.lookback}, but an older solution changes the start."
    )


def overwrites_nothing(init: InitStrategy) -> None:
    """Features and history are left as they are."""
    features, history = _run((2, 3), torch.float64, 1, init.lookback)
    before = [features.clone(), *(past.value.clone() for past in history)]
    init.initial(features, history)
    after = [features, *(past.value for past in history)]
    assert all(map(torch.equal, before, after)), "An argument was overwritten."


def treats_samples_apart(init: InitStrategy) -> None:
    """The start of a sample depends on that sample alone."""
    features, history = _run((3, 4), torch.float64, 2, init.lookback)
    together = init.initial(features, history)
    for index in range(3):
        alone = init.initial(
            features[index : index + 1], [_sample(past, index) for past in history]
        )
        torch.testing.assert_close(together[index], alone[0])


LAWS: tuple[Law, ...] = (
    keeps_shape_and_dtype,
    states_its_lookback,
    overwrites_nothing,
    treats_samples_apart,
)


def _run(
    shape: tuple[int, ...], dtype: torch.dtype, seed: int, past: int
) -> tuple[Tensor, list[Solution]]:
    rng = torch.Generator().manual_seed(seed)
    states = [torch.randn(shape, generator=rng).to(dtype) for _ in range(past + 1)]
    return states[0], [_solution(state) for state in states[1:]]


def _solution(value: Tensor) -> Solution:
    return Solution(
        value=value,
        evals=2,
        residual=torch.full(value.shape[:1], 0.1),
        status=torch.full(value.shape[:1], int(Status.BUDGET_SPENT)),
    )


def _sample(past: Solution, index: int) -> Solution:
    return _solution(past.value[index : index + 1])
