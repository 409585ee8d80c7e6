"""The laws of an init strategy."""

from __future__ import annotations

from itertools import product

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fpdm.interfaces import InitStrategy
from fpdm.solution import Solution, Status
from fpdm.testing.laws import Law, check, quick, undisturbed
from fpdm.testing.strategies import seeds, shapes

SHAPES = ((3,), (0, 4), (1, 5), (2, 3, 4), (2, 0, 4), (2, 3, 4, 2))
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


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

    def check_one(shape: tuple[int, ...], dtype: torch.dtype, seed: int, past: int) -> None:
        features, history = _run(shape, dtype, seed, min(past, init.lookback))
        start, said = init.initial(features, history), f"{tuple(shape)} {dtype}"
        assert start.shape == features.shape, f"{said} became {tuple(start.shape)}."
        assert start.dtype == features.dtype, f"{said} became {start.dtype}."
        assert start.isfinite().all(), f"The start is not finite for {said}."

    @quick
    @given(shape=shapes(), dtype=st.sampled_from(DTYPES), seed=seeds, past=st.integers(0, 4))
    def run(shape: tuple[int, ...], dtype: torch.dtype, seed: int, past: int) -> None:
        check_one(shape, dtype, seed, past)

    run()
    for shape, dtype, past in product(SHAPES, DTYPES, range(init.lookback + 1)):
        check_one(shape, dtype, 0, past)


def remembers_nothing(init: InitStrategy) -> None:
    """The start is a function of features and history: nothing is drawn, and nothing is kept."""
    features, history = _run((3, 4), torch.float64, 0, init.lookback)
    first = init.initial(features, history)
    undisturbed(lambda: init.initial(*_run((2, 5), torch.float64, 1, init.lookback)))
    again = init.initial(features, history)
    assert torch.equal(first, again), "The same call gives another start."


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
    undisturbed(lambda: init.initial(features, history), features, history)


def treats_samples_apart(init: InitStrategy) -> None:
    """The start of a sample depends on that sample alone."""
    for shape in ((6, 4), (6, 5, 4)):
        features, history = _run(shape, torch.float64, 2, init.lookback)
        together = init.initial(features, history)
        for index in range(6):
            past = [_sample(each, index) for each in history]
            alone = init.initial(features[index : index + 1], past)
            torch.testing.assert_close(together[index], alone[0])


LAWS: tuple[Law, ...] = (
    keeps_shape_and_dtype,
    remembers_nothing,
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
