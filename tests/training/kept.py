"""What training keeps for the backward pass, in bytes."""

import torch

import fpdm


def kept_bytes(model: torch.nn.Module) -> int:
    """Bytes of all storages saved for the backward pass of a batch, but for the weights."""
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        if value.untyped_storage().data_ptr() not in own:
            kept[value.untyped_storage().data_ptr()] = value
        return value

    x, labels = torch.randn(2, 4, 32, 32), torch.tensor([1, 2])
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        out = model.train()(x, timestep=torch.tensor([5, 500]), class_labels=labels)
        out.sample.square().mean()
    return sum(value.untyped_storage().nbytes() for value in kept.values())


SIZE = {"sample_size": 32, "patch_size": 2, "in_channels": 4, "hidden_size": 128, "num_heads": 4}


def implicit(*, no_grad: int, grad: int = 12) -> fpdm.FPDiT:
    gradient = {"name": "phantom", "no_grad": no_grad, "grad": grad, "damping": 1.0}
    return fpdm.FPDiT(**SIZE, num_classes=10, gradient=gradient)
