"""An implicit transformer out of a trained explicit one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.errors import InvalidValueError
from fpdm.models import implicit_from_explicit
from fpdm.models.block import run_blocks
from fpdm.models.grown import mixing

SIZES = {"sample_size": 8, "in_channels": 1, "hidden_size": 16, "num_heads": 2, "num_classes": 3}


def stirred(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """A network all of whose weights matter, as after a training."""
    drawn = torch.Generator().manual_seed(seed)
    for weight in network.parameters():
        weight.data.add_(0.1 * torch.randn(weight.shape, generator=drawn))
    return network.eval()


def pair(depth: int, pre: int, post: int) -> tuple[fpdm.DiT, fpdm.FPDiT]:
    explicit = stirred(fpdm.DiT(depth=depth, **SIZES))
    implicit = stirred(fpdm.FPDiT(pre_depth=pre, post_depth=post, **SIZES), seed=1)
    implicit.load_state_dict(implicit_from_explicit(explicit.state_dict(), implicit))
    return explicit, implicit


CALL = {"timestep": torch.tensor([30, 800]), "class_labels": torch.tensor([2, 3])}
X = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(7))


@given(pre=st.integers(0, 2), between=st.integers(1, 4), post=st.integers(0, 2))
@settings(max_examples=15, deadline=None)
def test_one_evaluation_is_the_explicit_network_with_one_block_between(pre, between, post):
    depth = pre + between + post
    explicit, implicit = pair(depth, pre, post)
    blocks = explicit.encoder.blocks
    middle = pre + (between - 1) // 2
    explicit.encoder.blocks = torch.nn.ModuleList(
        [*blocks[:pre], blocks[middle], *blocks[depth - post :]]
    )
    torch.testing.assert_close(
        implicit(X, evals=1, solver="naive", init="features", **CALL).sample,
        explicit(X, **CALL).sample,
    )


def test_a_dit_of_as_many_blocks_is_solved_by_one_evaluation():
    explicit, implicit = pair(3, 1, 1)
    out = implicit(X, evals=2, solver="naive", init="features", **CALL)
    torch.testing.assert_close(out.sample, explicit(X, **CALL).sample)
    assert out.solution.residual.max() < 1e-6


@given(between=st.integers(1, 5))
@settings(max_examples=5, deadline=None)
def test_the_fixed_point_is_where_the_blocks_between_come_if_they_all_add_the_same(between):
    explicit, implicit = pair(between, 0, 0)
    for block in [*explicit.encoder.blocks, implicit.layer.block.block]:
        block.modulation.weight.data.zero_()  # so that a block adds what does not depend on x
        block.modulation.bias.data.zero_()
        block.modulation.bias.data[-16:] = 1.0
        block.mlp[2].weight.data.zero_()
        block.mlp[2].bias.data = torch.linspace(-1, 1, 16)
    cond = implicit.embed(X, CALL["timestep"], CALL["class_labels"], None, None)
    features = implicit.denoiser.pre(X, cond)
    f = implicit.layer.block.bind(features, cond)
    end = run_blocks(explicit.encoder.blocks, features, cond.full)
    torch.testing.assert_close(f(end), end)


@given(share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_what_enters_the_block_is_linear_in_iterate_and_features(share, seed):
    block = fpdm.FPDiT(**SIZES).layer.block
    block.load_state_dict(mixing(16, share=share) | block.block.state_dict(prefix="block."))
    z, h = torch.randn(2, 2, 4, 16, generator=torch.Generator().manual_seed(seed))
    constant = block.mix.injection(block.injection(h))
    entering = block._narrow(block.mix(z, constant))
    torch.testing.assert_close(entering, share * z + (1 - share) * h)


def test_every_mixing_weight_gets_a_gradient():
    _, implicit = pair(4, 1, 1)
    implicit.train()(X, **CALL).sample.square().mean().backward()
    for name, weight in implicit.named_parameters():
        assert weight.grad is not None, name
        if "embeddings.label" not in name:
            assert weight.grad.abs().max() > 0, name


def test_nothing_given_is_written_to():
    explicit, fresh = stirred(fpdm.DiT(depth=4, **SIZES)), stirred(fpdm.FPDiT(**SIZES))
    before = [
        {name: value.clone() for name, value in each.state_dict().items()}
        for each in (explicit, fresh)
    ]
    made = implicit_from_explicit(explicit.state_dict(), fresh)
    assert made.keys() == fresh.state_dict().keys()
    for network, kept in zip((explicit, fresh), before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pre_depth": 2, "post_depth": 2}, "a DiT of depth 4 has no block left"),
        ({"condition_pre_post_on_timestep": False}, "the blocks of a DiT see the timestep"),
    ],
)
def test_what_cannot_be_taken_over_is_one_sentence(options, message):
    explicit, implicit = fpdm.DiT(depth=4, **SIZES), fpdm.FPDiT(**SIZES, **options)
    with pytest.raises(InvalidValueError, match=message):
        implicit_from_explicit(explicit.state_dict(), implicit)
