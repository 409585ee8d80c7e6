"""Fixed-point solvers: how `z = f(z)` is approximated with few evaluations of `f`."""

from fpdm_solvers.anderson import Anderson
from fpdm_solvers.broyden import Broyden
from fpdm_solvers.naive import Naive
from fpdm_solvers.torchdeq import TorchdeqAnderson, TorchdeqBroyden, TorchdeqNaive

__all__ = [
    "Anderson",
    "Broyden",
    "Naive",
    "TorchdeqAnderson",
    "TorchdeqBroyden",
    "TorchdeqNaive",
]
