"""The conformance kit: what a plugin must keep, as tests that run in one line.

    from fpdm.testing import check_solver

    def test_my_solver_keeps_the_contract():
        check_solver(MySolver)

`check_solver`, `check_allocation`, `check_init`, `check_gradient`, `check_network` and
`check_dataset` need hypothesis. Beside them are problems with known answers, and in
`fpdm.testing.strategies` what draws them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fpdm.runtime.lazy import lazy
from fpdm.testing.problems import Problem, affine, cosine, network

if TYPE_CHECKING:
    from fpdm.testing.allocations import check_allocation
    from fpdm.testing.datasets import check_dataset
    from fpdm.testing.gradients import check_gradient
    from fpdm.testing.inits import check_init
    from fpdm.testing.networks import check_network
    from fpdm.testing.solvers import check_solver

__all__ = [
    "Problem",
    "affine",
    "check_allocation",
    "check_dataset",
    "check_gradient",
    "check_init",
    "check_network",
    "check_solver",
    "cosine",
    "network",
]

_find = lazy(  # what needs hypothesis loads when it is first used
    __name__,
    {
        "check_allocation": "fpdm.testing.allocations",
        "check_dataset": "fpdm.testing.datasets",
        "check_gradient": "fpdm.testing.gradients",
        "check_init": "fpdm.testing.inits",
        "check_network": "fpdm.testing.networks",
        "check_solver": "fpdm.testing.solvers",
    },
)


def __getattr__(name: str) -> Any:
    try:
        return _find(name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        from fpdm.errors import MissingDependencyError

        raise MissingDependencyError(
            f"{name} needs hypothesis. Install it with: pip install hypothesis"
        ) from error
