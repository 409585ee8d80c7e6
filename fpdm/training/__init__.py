"""Training."""

from fpdm.training.config import TrainConfig, load_config
from fpdm.training.loop import Progress, Training

__all__ = ["Progress", "TrainConfig", "Training", "load_config"]
