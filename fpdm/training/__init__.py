"""Training."""

from fpdm.training.config import TrainConfig
from fpdm.training.loop import Training
from fpdm.training.printing import print_config
from fpdm.training.progress import Progress
from fpdm.training.reading import load_config
from fpdm.training.run import Run

__all__ = ["Progress", "Run", "TrainConfig", "Training", "load_config", "print_config"]
