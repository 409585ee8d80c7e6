"""Fixed point diffusion models with pluggable solvers, allocations, warm starts and gradients."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fpdm.allocator import Allocator, Plan
from fpdm.denoiser import Denoised, FixedPointDenoiser
from fpdm.errors import FPDMError
from fpdm.hookspecs import hookimpl
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.layer import FixedPointLayer
from fpdm.plugins import allocation, gradient, init, solver
from fpdm.sampling import sample
from fpdm.solution import Solution, Status
from fpdm.tracing import trace

if TYPE_CHECKING:
    from fpdm.models import DiT, FPDiT
    from fpdm.pipeline import FPDMPipeline
    from fpdm.schedulers import EvenDDIMScheduler, EvenDDPMScheduler, FlowScheduler

__version__ = "0.1.0"

__all__ = [
    "AllocationPolicy",
    "Allocator",
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
    "Plan",
    "Solution",
    "Status",
    "__version__",
    "allocation",
    "gradient",
    "hookimpl",
    "init",
    "sample",
    "solver",
    "trace",
]

_LAZY = {  # what needs diffusers loads when it is first used
    "DiT": "fpdm.models",
    "EvenDDIMScheduler": "fpdm.schedulers",
    "EvenDDPMScheduler": "fpdm.schedulers",
    "FPDMPipeline": "fpdm.pipeline",
    "FPDiT": "fpdm.models",
    "FlowScheduler": "fpdm.schedulers",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'fpdm' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
