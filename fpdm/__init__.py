"""Fixed point diffusion models with pluggable solvers, allocations, warm starts and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.allocator import Allocator, Plan
from fpdm.data.dataset import Dataset
from fpdm.denoiser import FixedPointDenoiser
from fpdm.errors import FPDMError
from fpdm.hookspecs import hookimpl
from fpdm.interfaces import (
    AllocationPolicy,
    FixedPointSolver,
    GradientEstimator,
    InitStrategy,
    Network,
)
from fpdm.layer import FixedPointLayer
from fpdm.plugins import allocation, dataset, gradient, init, network, solver
from fpdm.runtime.lazy import lazy
from fpdm.sampling import sample
from fpdm.solution import Denoised, Moment, Solution, Status, Visited
from fpdm.tracing import trace

if TYPE_CHECKING:
    from fpdm.diffusion import EvenDDIMScheduler, EvenDDPMScheduler, FlowScheduler
    from fpdm.models import DiT, FPDiT
    from fpdm.pipeline import FPDMPipeline

__version__ = "0.1.0"

__all__ = [
    "AllocationPolicy",
    "Allocator",
    "Dataset",
    "Denoised",
    "DiT",
    "EvenDDIMScheduler",
    "EvenDDPMScheduler",
    "FPDMError",
    "FPDMPipeline",
    "FPDiT",
    "FixedPointDenoiser",
    "FixedPointLayer",
    "FixedPointSolver",
    "FlowScheduler",
    "GradientEstimator",
    "InitStrategy",
    "Moment",
    "Network",
    "Plan",
    "Solution",
    "Status",
    "Visited",
    "__version__",
    "allocation",
    "dataset",
    "gradient",
    "hookimpl",
    "init",
    "network",
    "sample",
    "solver",
    "trace",
]

__getattr__ = lazy(  # what needs diffusers loads when it is first used
    __name__,
    {
        "DiT": "fpdm.models",
        "EvenDDIMScheduler": "fpdm.diffusion",
        "EvenDDPMScheduler": "fpdm.diffusion",
        "FPDMPipeline": "fpdm.pipeline",
        "FPDiT": "fpdm.models",
        "FlowScheduler": "fpdm.diffusion",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
