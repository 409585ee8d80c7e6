"""Trains in a child that is killed, again and again, until it has come to its end.

Usage: killed.py FOLDER SEED KILLS [strange]. The parent never computes, so a fork of it is safe.
With `strange` network and data are those of a plugin.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import attrs
import numpy as np
import strange
import torch

from fpdm.plugins import Origin, host
from fpdm.training import Run, TrainConfig, Training
from fpdm.training.config import CheckpointsConfig, TrackingConfig

CONFIG = TrainConfig(
    steps=40,
    batch_size=8,
    model={"network": "fpdit", "patch_size": 4, "hidden_size": 8, "num_heads": 2},
    checkpoints=CheckpointsConfig(every=2, keep=2),
    tracking=TrackingConfig(every=1, samples_every=0),
)


def of_a_plugin() -> TrainConfig:
    """The same, of a network and a data set that a plugin has."""
    host().register(strange, Origin("strange"))
    return attrs.evolve(CONFIG, model={"network": "round"}, data={"kind": "circle"})


def train(config: TrainConfig, folder: Path) -> None:
    for _ in Run(Training(config), folder):
        pass


def main(folder: Path, seed: int, kills: int, *names: str) -> None:
    config = of_a_plugin() if names else CONFIG
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    rng, killed = random.Random(seed), 0
    while True:
        child = os.fork()
        if child == 0:
            train(config, folder)
            os._exit(0)
        if killed < kills:
            time.sleep(rng.uniform(0.05, 0.4))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            if killed >= kills:
                break
    print(killed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
