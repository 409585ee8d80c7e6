"""Training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.runtime.lazy import lazy

if TYPE_CHECKING:
    from fpdm.training.config import (
        CheckpointsConfig,
        EngineConfig,
        GuardsConfig,
        JacobianConfig,
        OptimizerConfig,
        TrackingConfig,
        TrainConfig,
    )
    from fpdm.training.jacobian import spectral_norm, spectral_radius
    from fpdm.training.loop import Training
    from fpdm.training.printing import print_config
    from fpdm.training.progress import Progress
    from fpdm.training.reading import load_config
    from fpdm.training.run import Run
    from fpdm.training.seeding import generator
    from fpdm.training.signals import Stopped

__all__ = [
    "CheckpointsConfig",
    "EngineConfig",
    "GuardsConfig",
    "JacobianConfig",
    "OptimizerConfig",
    "Progress",
    "Run",
    "Stopped",
    "TrackingConfig",
    "TrainConfig",
    "Training",
    "generator",
    "load_config",
    "print_config",
    "spectral_norm",
    "spectral_radius",
]

__getattr__ = lazy(  # what needs PyTorch loads when it is first used
    __name__,
    {
        "CheckpointsConfig": "fpdm.training.config",
        "EngineConfig": "fpdm.training.config",
        "GuardsConfig": "fpdm.training.config",
        "JacobianConfig": "fpdm.training.config",
        "OptimizerConfig": "fpdm.training.config",
        "Progress": "fpdm.training.progress",
        "Run": "fpdm.training.run",
        "Stopped": "fpdm.training.signals",
        "TrackingConfig": "fpdm.training.config",
        "TrainConfig": "fpdm.training.config",
        "Training": "fpdm.training.loop",
        "generator": "fpdm.training.seeding",
        "load_config": "fpdm.training.reading",
        "print_config": "fpdm.training.printing",
        "spectral_norm": "fpdm.training.jacobian",
        "spectral_radius": "fpdm.training.jacobian",
    },
)
