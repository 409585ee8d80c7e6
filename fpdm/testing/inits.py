"""The laws of an init strategy."""

from __future__ import annotations

from itertools import product

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fpdm.interfaces import InitStrategy
from fpdm.solution import Moment, Solution, Status, Visited
from fpdm.testing.laws import Law, check, quick, undisturbed
from fpdm.testing.strategies import SORTS, moments, seeds, shapes, sorts

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

    def check_one(
        shape: tuple[int, ...], dtype: torch.dtype, seed: int, past: int, sort: str
    ) -> None:
        features, history, moment = _run(shape, dtype, seed, min(past, init.lookback), sort)
        start, said = init.initial(features, history, moment), f"{tuple(shape)} {dtype}"
        assert start.shape == features.shape, f"{said} became {tuple(start.shape)}."
        assert start.dtype == features.dtype, f"{said} became {start.dtype}."
        assert start.isfinite().all(), f"The start is not finite for {said}, at {moment}."

    @quick
    @given(
        shape=shapes(),
        dtype=st.sampled_from(DTYPES),
        seed=seeds,
        past=st.integers(0, 4),
        sort=sorts,
    )
    def run(shape: tuple[int, ...], dtype: torch.dtype, seed: int, past: int, sort: str) -> None:
        check_one(shape, dtype, seed, past, sort)

    run()
    for shape, dtype, past in product(SHAPES, DTYPES, range(init.lookback + 1)):
        check_one(shape, dtype, 0, past, "known")
    for sort, past in product(SORTS, range(init.lookback + 1)):
        check_one((2, 3), torch.float32, 0, past, sort)


def remembers_nothing(init: InitStrategy) -> None:
    """The start is a function of its arguments: nothing is drawn, and nothing is kept."""
    given = _run((3, 4), torch.float64, 0, init.lookback)
    first = init.initial(*given)
    undisturbed(lambda: init.initial(*_run((2, 5), torch.float64, 1, init.lookback)))
    again = init.initial(*given)
    assert torch.equal(first, again), "The same call gives another start."


def states_its_lookback(init: InitStrategy) -> None:
    """`lookback` is a whole number ≥ 0, and no timestep further back changes the start."""
    assert isinstance(init.lookback, int), f"lookback={init.lookback!r}"
    assert init.lookback >= 0, f"lookback={init.lookback!r}"
    features, history, moment = _run((2, 3), torch.float64, 0, init.lookback + 2)
    recent = history[len(history) - init.lookback :]
    all_, few = (init.initial(features, past, moment) for past in (history, recent))
    assert torch.equal(all_, few), (
        f"lookback={init.lookback}, but an older solution changes the start."
    )


def overwrites_nothing(init: InitStrategy) -> None:
    """Features and history are left as they are."""
    given = _run((2, 3), torch.float64, 1, init.lookback)
    undisturbed(lambda: init.initial(*given), *given[:2])


def treats_samples_apart(init: InitStrategy) -> None:
    """The start of a sample depends on that sample alone."""
    for shape in ((6, 4), (6, 5, 4)):
        features, history, moment = _run(shape, torch.float64, 2, init.lookback)
        together = init.initial(features, history, moment)
        for index in range(6):
            past = [_sample(each, index) for each in history]
            alone = init.initial(features[index : index + 1], past, moment)
            torch.testing.assert_close(together[index], alone[0])


LAWS: tuple[Law, ...] = (
    keeps_shape_and_dtype,
    remembers_nothing,
    states_its_lookback,
    overwrites_nothing,
    treats_samples_apart,
)


def _run(
    shape: tuple[int, ...], dtype: torch.dtype, seed: int, past: int, sort: str = "known"
) -> tuple[Tensor, list[Visited], Moment]:
    rng = torch.Generator().manual_seed(seed)
    *before, moment = moments(past + 1, sort)
    states = [torch.randn(shape, generator=rng).to(dtype) for _ in range(2 * past + 1)]
    found = zip(before, states[1::2], states[2::2], strict=True)
    return states[0], [_visited(*each) for each in found], moment


def _visited(moment: Moment, features: Tensor, value: Tensor) -> Visited:
    solution = Solution(
        value=value,
        evals=2,
        residual=torch.full(value.shape[:1], 0.1),
        status=torch.full(value.shape[:1], int(Status.BUDGET_SPENT)),
    )
    return Visited(moment, features, solution)


def _sample(past: Visited, index: int) -> Visited:
    one = slice(index, index + 1)
    return _visited(past.moment, past.features[one], past.solution.value[one])
