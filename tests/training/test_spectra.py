"""The spectral norm and the spectral radius of a Jacobian, beside those of dense matrices."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpdm.testing import affine
from fpdm.training import spectral_norm, spectral_radius
from tests.toys import tiny

SEEDS = st.integers(0, 2**20)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def matrices(seed: int, count: int, size: int, dtype: torch.dtype, scale: float = 1.0):
    """Random matrices, and vectors to begin with."""
    rng = torch.Generator().manual_seed(seed)
    made = scale * torch.randn(count, size, size, generator=rng, dtype=torch.float64)
    return made.to(dtype), torch.randn(count, size, generator=rng, dtype=torch.float64).to(dtype)


def applied(matrix: torch.Tensor):
    return lambda z: (matrix @ z[..., None])[..., 0]


@given(seed=SEEDS, count=st.integers(1, 4), size=st.integers(1, 9), dtype=DTYPES)
def test_the_norm_is_the_largest_singular_value_of_each_sample(seed, count, size, dtype):
    matrix, start = matrices(seed, count, size, dtype)
    found = spectral_norm(applied(matrix), torch.zeros_like(start), start, rounds=400)
    truth = torch.linalg.matrix_norm(matrix.double(), 2)
    assert found.shape == (count,)
    assert (found.double() <= truth * (1 + 1e-5)).all()
    assert (found.double() >= truth * 0.98).all()


@given(seed=SEEDS, count=st.integers(1, 3), size=st.integers(1, 9), rounds=st.integers(0, 30))
def test_the_norm_is_never_overstated(seed, count, size, rounds):
    matrix, start = matrices(seed, count, size, torch.float64)
    found = spectral_norm(applied(matrix), torch.zeros_like(start), start, rounds=rounds)
    assert (found <= torch.linalg.matrix_norm(matrix, 2) * (1 + 1e-9)).all()


@given(seed=SEEDS, size=st.integers(2, 8), factor=st.floats(1e-3, 1e3), dtype=DTYPES)
def test_norm_and_radius_of_a_scaled_rotation_are_the_scale(seed, size, factor, dtype):
    matrix, start = matrices(seed, 3, size, torch.float64)
    f = applied((factor * torch.linalg.qr(matrix).Q).to(dtype))
    zero = torch.zeros(3, size, dtype=dtype)
    for found in (spectral_norm(f, zero, start.to(dtype)), spectral_radius(f, zero, start)):
        torch.testing.assert_close(
            found.double(), torch.full((3,), factor).double(), rtol=1e-4, atol=0
        )


@given(seed=SEEDS, size=st.integers(2, 6), dtype=DTYPES)
def test_the_radius_is_the_largest_modulus_of_an_eigenvalue(seed, size, dtype):
    matrix, start = matrices(seed, 2, size, torch.float64)
    moduli = torch.linalg.eigvals(matrix).abs()
    matrix = matrix / moduli.max(dim=1).values[:, None, None]
    found = spectral_radius(
        applied(matrix.to(dtype)), torch.zeros_like(start).to(dtype), start, products=2000
    )
    torch.testing.assert_close(found.double(), torch.ones(2).double(), rtol=0.02, atol=0)


@given(seed=SEEDS, factor=st.floats(0.05, 0.95), size=st.integers(1, 8))
def test_the_norm_of_a_contraction_is_its_factor(seed, factor, size):
    problem = affine((3, 2, size), factor=factor, seed=seed)
    start = torch.randn(3, 2, size, generator=torch.Generator().manual_seed(seed)).double()
    found = spectral_norm(problem.f, problem.x0, start, rounds=400)
    torch.testing.assert_close(found, torch.full((3,), factor).double(), rtol=0.02, atol=0)


@given(seed=SEEDS)
def test_a_sample_alone_has_the_norm_that_it_has_in_a_batch(seed):
    matrix, start = matrices(seed, 3, 5, torch.float64)
    zero = torch.zeros_like(start)
    together = spectral_norm(applied(matrix), zero, start)
    alone = [
        spectral_norm(applied(matrix[i : i + 1]), zero[:1], start[i : i + 1]) for i in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("f", [lambda z: 0 * z + 1, torch.ones_like, lambda z: z.detach() + 1])
def test_a_map_that_is_constant_has_none_of_both(f):
    zero, start = torch.zeros(2, 3), torch.ones(2, 3)
    assert spectral_norm(f, zero, start).tolist() == [0, 0]
    assert spectral_radius(f, zero, start).tolist() == [0, 0]


def test_the_norm_of_a_transformer_block_is_that_of_its_dense_jacobian():
    """Attention and fused layers are differentiated both ways."""
    model = tiny().double()
    features, timestep = torch.randn(2, 1, 4, 4).double(), torch.full((2,), 300)
    cond = model.embed(features, timestep, torch.tensor([0, 2]))
    features = model.denoiser.pre(features, cond)
    f = model.layer.block.bind(features, cond)
    found = spectral_norm(f, features, torch.randn_like(features), rounds=300)
    dense = torch.autograd.functional.jacobian(lambda z: f(z).sum(dim=0), features)
    dense = dense.flatten(3).permute(2, 0, 1, 3).flatten(1, 2).detach()
    torch.testing.assert_close(found, torch.linalg.matrix_norm(dense, 2), rtol=1e-2, atol=0)
