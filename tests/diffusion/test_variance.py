"""The hybrid loss is the variational bound, and teaches the variance and nothing else."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from fpdm.diffusion import Diffusion
from fpdm.diffusion.variance import Posterior
from fpdm.errors import InvalidValueError
from fpdm.testing.strategies import seeds
from fpdm.training import Training, load_config
from fpdm.training.config import OptimizerConfig
from tests.diffusion.noising import ALPHAS, normal
from tests.training.tiny import TINY, config, trained

POSTERIOR = Posterior.of(torch.from_numpy(ALPHAS))


@given(t=st.integers(1, 999), clean=st.floats(-1, 1), noisy=st.floats(-4, 4))
def test_the_posterior_is_that_of_bayes(t, clean, noisy):
    """From the joint normal distribution of x_{t-1} and x_t given the clean image."""
    a, b = ALPHAS[t], ALPHAS[t - 1]
    step = a / b
    mean, mean_after = b**0.5 * clean, a**0.5 * clean
    variance, covariance, variance_after = 1 - b, step**0.5 * (1 - b), 1 - a
    expected = mean + covariance / variance_after * (noisy - mean_after)
    spread = variance - covariance**2 / variance_after
    ours = float(POSTERIOR.of_clean[t] * clean + POSTERIOR.of_noisy[t] * noisy)
    assert ours == pytest.approx(expected, abs=1e-9)
    assert float(POSTERIOR.log_small[t].exp()) == pytest.approx(spread, rel=1e-6)
    assert float(POSTERIOR.log_large[t].exp()) == pytest.approx(1 - step, rel=1e-9)


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon", "sample"])
@given(seed=seeds, t=st.integers(1, 999))
def test_a_term_of_the_bound_is_the_divergence_from_the_posterior(prediction, seed, t):
    diffusion = Diffusion(prediction)
    clean, noise, error, said = (normal(seed + i, 2, 1, 4, 4) for i in range(4))
    clean, said, timestep = clean.clamp(-1, 1), said.tanh(), torch.tensor([t, t])
    noised = diffusion.noise(clean, noise, timestep)
    output = noised.target + 0.1 * error
    whole = diffusion.loss(torch.cat([output, said], dim=1), noised, clean=clean, timestep=timestep)
    a, b = ALPHAS[t], ALPHAS[t - 1]
    out, x = output.double(), noised.x.double()
    predicted = {
        "v_prediction": a**0.5 * x - (1 - a) ** 0.5 * out,
        "epsilon": (x - (1 - a) ** 0.5 * out) / a**0.5,
        "sample": out,
    }[prediction]
    beta = 1 - a / b
    small = beta * (1 - b) / (1 - a)

    def mean(image):
        return b**0.5 * beta / (1 - a) * image + (a / b) ** 0.5 * (1 - b) / (1 - a) * x

    share = (said.double() + 1) / 2
    spread = (share * math.log(beta) + (1 - share) * math.log(small)).exp().sqrt()
    true = Normal(mean(clean.double()), math.sqrt(small))
    bits = kl_divergence(true, Normal(mean(predicted), spread)).mean() / math.log(2)
    square = ((output - noised.target) ** 2).double().mean()
    assert float(whole) == pytest.approx(float(square + bits), rel=2e-3, abs=1e-4)


@given(seed=seeds)
def test_the_last_term_is_the_likelihood_of_the_grey_levels(seed):
    levels = torch.linspace(-1, 1, 256).view(256, 1, 1, 1)  # an image of one pixel each
    predicted = levels + 0.01 * normal(seed, 256, 1, 1, 1)
    said, timestep = normal(seed + 1, 256, 1, 1, 1).tanh(), torch.zeros(256, dtype=torch.int64)
    noisy = levels.clone()
    bits = POSTERIOR.variational_bound(
        clean=levels, noisy=noisy, predicted=predicted, said=said, timestep=timestep
    )
    small, large = (float(table[0]) for table in (POSTERIOR.log_small, POSTERIOR.log_large))
    share = (said.double() + 1) / 2
    normals = Normal(predicted.double(), (share * large + (1 - share) * small).exp().sqrt())
    edges = (levels.double() - 1 / 255, levels.double() + 1 / 255)
    below = normals.cdf(edges[0]).where(levels > -1, torch.zeros(()).double())
    above = normals.cdf(edges[1]).where(levels < 1, torch.ones(()).double())
    expected = -(above - below).clamp(min=1e-12).log2().flatten()
    likely = expected < 15  # beyond it float32 has no digits left
    np.testing.assert_allclose(bits[likely], expected[likely], rtol=1e-2, atol=1e-3)
    assert bool((bits[~likely] > 10).all())


@given(seed=seeds, t=st.integers(0, 999))
def test_the_bound_leaves_the_prediction_alone(seed, t):
    diffusion = Diffusion("epsilon")
    clean, noise, output = (
        normal(seed, 2, 1, 4, 4),
        normal(seed + 1, 2, 1, 4, 4),
        normal(seed + 2, 2, 2, 4, 4),
    )
    timestep = torch.tensor([t, t])
    noised = diffusion.noise(clean, noise, timestep)
    gradients = []
    for learned in (True, False):
        given = output.clone().requires_grad_()
        used = given if learned else given[:, :1]
        diffusion.loss(used, noised, clean=clean, timestep=timestep).backward()
        gradients.append(given.grad)
    assert torch.equal(gradients[0][:, :1], gradients[1][:, :1])
    assert bool(gradients[0][:, 1:].abs().sum() > 0)
    assert gradients[0].isfinite().all()


@pytest.mark.parametrize("zero", [True, False])
def test_the_bound_is_finite_at_every_timestep(zero):
    diffusion = Diffusion(zero_terminal_snr=zero)
    timestep = torch.arange(1000)
    clean, noise = normal(0, 1000, 1, 2, 2).clamp(-1, 1), normal(1, 1000, 1, 2, 2)
    noised = diffusion.noise(clean, noise, timestep)
    output = torch.cat([noised.target, -torch.ones_like(clean)], dim=1)
    loss = diffusion.loss(output, noised, clean=clean, timestep=timestep)
    assert 0 <= float(loss) < 0.01  # a perfect network with the posterior's variance


def test_training_learns_a_variance_that_sampling_uses():
    optimizer = OptimizerConfig(learning_rate=1e-2, warmup_steps=5)
    learned = TINY | {"learn_sigma": True}
    training = Training(config(steps=120, batch_size=64, model=learned, optimizer=optimizer))
    losses = [progress.loss for progress in training]
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])
    pipe = training.pipeline()
    assert pipe.scheduler.config.variance_type == "learned_range"
    pipe.set_progress_bar_config(disable=True)
    drawn = pipe([0, 1], num_inference_steps=10, output_type="latent").images
    assert drawn.shape == (2, 1, 8, 8)
    plain = trained(config()).pipeline()
    assert type(plain.scheduler).__name__ == "DPMScheduler"


def test_flow_matching_has_no_variance_to_learn():
    with pytest.raises(InvalidValueError, match="learn_sigma=true: flow matching has no variance"):
        load_config("digits", ["model.learn_sigma=true", "diffusion.prediction=flow"])
    assert load_config("digits", ["model.learn_sigma=true"]).model["learn_sigma"]
