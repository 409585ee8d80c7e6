"""What the cosine allocation promises beyond the contract of a policy."""

import pytest

from fpdm_example import Cosine


def test_the_plan_rises_along_the_cosine() -> None:
    assert Cosine(amplitude=0.5).plan(budget=40, steps=4) == (5, 8, 12, 15)


@pytest.mark.parametrize("amplitude", [0.1, 0.5, 1.0])
def test_the_other_sign_turns_the_plan_round(amplitude: float) -> None:
    rising = Cosine(amplitude=amplitude).plan(budget=100, steps=9)
    assert list(rising) == sorted(rising)
    assert Cosine(amplitude=-amplitude).plan(budget=100, steps=9) == rising[::-1]


def test_without_amplitude_the_split_is_equal() -> None:
    assert Cosine(amplitude=0.0).plan(budget=12, steps=4) == (3, 3, 3, 3)
