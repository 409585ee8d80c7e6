"""Training."""

from fpdm.training.config import (
    CheckpointsConfig,
    EngineConfig,
    GuardsConfig,
    OptimizerConfig,
    TrackingConfig,
    TrainConfig,
)
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
]
