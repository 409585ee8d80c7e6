"""What training keeps for the backward pass, in bytes, and what a compiler has to compile."""

import pytest
import torch

import fpdm
from tests.training.kept import SIZE, implicit, kept_bytes


@pytest.fixture(scope="module")
def explicit() -> int:
    """What a DiT of depth 28 keeps."""
    return kept_bytes(fpdm.DiT(**SIZE, num_classes=10, depth=28))


def test_twelve_iterations_keep_less_than_half_of_what_a_dit_of_depth_28_keeps(explicit):
    assert kept_bytes(implicit(no_grad=0)) <= 0.45 * explicit


def test_what_is_kept_does_not_grow_with_iterations_without_gradient():
    without, few, many = (kept_bytes(implicit(no_grad=count)) for count in (0, 1, 20))
    assert without < few == many  # without any, the gradient begins at the features themselves


def test_with_checkpointing_inputs_alone_are_kept(explicit):
    model = implicit(no_grad=3)
    model.enable_gradient_checkpointing()
    assert kept_bytes(model) <= 0.15 * explicit


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_is_computed_again_gives_the_same_gradient(checkpointing):
    gradients = []
    for lean in (False, True):
        torch.manual_seed(0)
        model = fpdm.FPDiT(
            sample_size=4, in_channels=1, hidden_size=8, num_heads=2, num_classes=3,
            gradient={"name": "unrolled", "evals": 3},
        ).train()  # fmt: skip
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        block = model.layer.block
        block.lean = block.block.lean = lean
        if lean and checkpointing:
            model.enable_gradient_checkpointing()
        x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        out = model(x, timestep=torch.tensor([5, 500]), class_labels=torch.tensor([1, 2]))
        out.sample.square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again, rtol=0, atol=0)
