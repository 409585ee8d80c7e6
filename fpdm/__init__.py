"""Fixed point diffusion models with pluggable solvers, allocations, warm starts and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.runtime.lazy import lazy

if TYPE_CHECKING:
    from fpdm.allocator import Allocator, Plan
    from fpdm.data.dataset import Dataset
    from fpdm.denoiser import FixedPointDenoiser
    from fpdm.diffusion import DPMScheduler, EvenDDIMScheduler, EvenDDPMScheduler, FlowScheduler
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
    from fpdm.models import DiT, FPDiT
    from fpdm.pipeline import FPDMPipeline
    from fpdm.plugins import allocation, dataset, gradient, init, network, solver
    from fpdm.sampling import sample
    from fpdm.solution import Denoised, Moment, Solution, Status, Visited
    from fpdm.tracing import trace

__version__ = "0.1.0"

__all__ = [
    "AllocationPolicy",
    "Allocator",
    "DPMScheduler",
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

__getattr__ = lazy(  # PyTorch, and what else they need, loads when one is first used
    __name__,
    {
        "AllocationPolicy": "fpdm.interfaces",
        "Allocator": "fpdm.allocator",
        "DPMScheduler": "fpdm.diffusion",
        "Dataset": "fpdm.data.dataset",
        "Denoised": "fpdm.solution",
        "DiT": "fpdm.models",
        "EvenDDIMScheduler": "fpdm.diffusion",
        "EvenDDPMScheduler": "fpdm.diffusion",
        "FPDMError": "fpdm.errors",
        "FPDMPipeline": "fpdm.pipeline",
        "FPDiT": "fpdm.models",
        "FixedPointDenoiser": "fpdm.denoiser",
        "FixedPointLayer": "fpdm.layer",
        "FixedPointSolver": "fpdm.interfaces",
        "FlowScheduler": "fpdm.diffusion",
        "GradientEstimator": "fpdm.interfaces",
        "InitStrategy": "fpdm.interfaces",
        "Moment": "fpdm.solution",
        "Network": "fpdm.interfaces",
        "Plan": "fpdm.allocator",
        "Solution": "fpdm.solution",
        "Status": "fpdm.solution",
        "Visited": "fpdm.solution",
        "allocation": "fpdm.plugins",
        "dataset": "fpdm.plugins",
        "gradient": "fpdm.plugins",
        "hookimpl": "fpdm.hookspecs",
        "init": "fpdm.plugins",
        "network": "fpdm.plugins",
        "sample": "fpdm.sampling",
        "solver": "fpdm.plugins",
        "trace": "fpdm.tracing",
    },
    modules=(
        *("allocator", "batch", "calibration", "checks", "counting", "denoiser", "errors"),
        *("hookspecs", "interfaces", "iteration", "layer", "pipeline", "sampling", "solution"),
        *("tracing", "checkpoints", "cli", "comparing", "compiling", "data", "diagnosing"),
        *("diffusion", "drawing", "evaluation", "models", "planning", "plugins", "runtime"),
        *("testing", "training"),
    ),
)


def __dir__() -> list[str]:
    return sorted(__all__)
