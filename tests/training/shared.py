"""Saves the gradients of three steps, as one or several processes compute them together.

Usage: shared.py FILE SHARDING [strange]. Launched by torchrun, or alone. With `strange` network and
data are those of a plugin.
"""

import sys

import attrs
import strange
import torch
from safetensors.torch import save_file

from fpdm.plugins import Origin, host
from fpdm.training import TrainConfig, Training
from fpdm.training.batches import Shares
from fpdm.training.config import EngineConfig
from fpdm.training.engine import whole


class Lively(Training):
    """With weights from which every parameter gets a gradient: a new network has zero gates.

    In float64, in which sums over other parts of a batch agree on every processor.
    """

    def _untrained(self):
        network = super()._untrained()
        rng = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
        return network.double()


def main(file: str, sharding: str, *names: str) -> None:
    torch.set_num_threads(1)
    config = TrainConfig(
        batch_size=12,
        model={"network": "fpdit", "patch_size": 4, "hidden_size": 16, "num_heads": 2},
        engine=EngineConfig(sharding=sharding),
    )
    if names:
        host().register(strange, Origin("strange"))
        config = attrs.evolve(
            config, model={"network": "round"}, data={"kind": "circle"}, class_dropout=0.5
        )
    training = Lively(config)
    here = training.accelerator
    shares = Shares(config, training.data, here.process_index, here.num_processes)
    gradients = {}
    training.network.train()
    for training.step in range(3):
        share = shares[training.step]
        share = share._replace(
            clean=share.clean.double(),
            noise=share.noise.double(),
            condition=None if share.condition is None else share.condition.double(),
        )
        loss, _ = training._predict(share)
        here.backward(loss)
        for name, parameter in training.bare.named_parameters():
            gradients[f"{training.step}.{name}"] = whole(parameter.grad).clone()
        training.optimizer.zero_grad()
    if here.is_main_process:
        save_file(gradients, file)
    here.wait_for_everyone()


if __name__ == "__main__":
    main(*sys.argv[1:])
