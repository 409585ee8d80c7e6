"""A training of a few steps of a small network."""

import attrs

from fpdm.training import TrainConfig, Training

TINY = {
    "network": "fpdit",
    "patch_size": 4,
    "hidden_size": 8,
    "num_heads": 2,
    "gradient": {"name": "jfb", "no_grad": 2},
}


def config(**changes) -> TrainConfig:
    return attrs.evolve(TrainConfig(steps=4, batch_size=8, model=TINY), **changes)


def trained(config: TrainConfig) -> Training:
    training = Training(config)
    for _ in training:
        pass
    return training
