"""Saves the gradients of three steps, as one or several processes compute them together.

Usage: shared.py FILE SHARDING NETWORK WEIGHT. Launched by torchrun, or alone. `round` is a network
of a plugin, with the data of that.
"""

import sys

import strange
import torch
from safetensors.torch import save_file

from fpdm.plugins import Origin, host
from fpdm.training import TrainConfig, Training
from fpdm.training.batches import Shares
from fpdm.training.config import EngineConfig, JacobianConfig
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


SMALL = {
    "fpdit": {"patch_size": 4, "hidden_size": 16, "num_heads": 2},
    "mlp": {"width": 16},
    "fpunet": {"width": 8},
    "round": {},
}


def main(file: str, sharding: str, network: str, weight: float) -> None:
    torch.set_num_threads(1)
    host().register(strange, Origin("strange"))
    config = TrainConfig(
        batch_size=12,
        class_dropout=0.5,
        model={"network": network, **SMALL[network]},
        data={"kind": "circle" if network == "round" else "digits"},
        engine=EngineConfig(sharding=sharding),
        jacobian=JacobianConfig(weight=weight),
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
        watch = training._watch(shares.places(training.step))
        loss, _ = training._predict(share, watch)
        here.backward(loss if watch.penalty is None else loss + weight * watch.penalty)
        for name, parameter in training.bare.named_parameters():
            gradients[f"{training.step}.{name}"] = whole(parameter.grad).clone()
        training.optimizer.zero_grad()
    if here.is_main_process:
        save_file(gradients, file)
    here.wait_for_everyone()


if __name__ == "__main__":
    main(*sys.argv[1:4], float(sys.argv[4]))
