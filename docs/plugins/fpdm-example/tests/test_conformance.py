"""Each component keeps the contract of its kind, whatever its options."""

import pytest
from fpdm.testing import check_allocation, check_solver

from fpdm_example import Cosine, IronsTuck


def test_irons_tuck_is_a_solver() -> None:
    check_solver(IronsTuck)


@pytest.mark.parametrize("amplitude", [-1.0, 0.5])
def test_cosine_is_an_allocation(amplitude: float) -> None:
    check_allocation(Cosine(amplitude=amplitude))
