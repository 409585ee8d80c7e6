"""What single timesteps are said to change is believed as far as samples agree."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fpdm.planning.believing import believed
from fpdm.testing.strategies import seeds

places, samples = st.integers(2, 12), st.integers(2, 40)


@given(places, samples, seeds)
def test_where_all_samples_agree_nothing_is_changed(places, samples, seed):
    rng = torch.Generator().manual_seed(seed)
    means = torch.randn(places, generator=rng, dtype=torch.float64).round(decimals=3)
    found = believed(means[:, None].expand(-1, samples))
    torch.testing.assert_close(found, means, rtol=0, atol=1e-9)


@given(places, samples, seeds, st.floats(0.01, 100))
def test_what_is_believed_lies_between_what_was_found_and_what_is_usual(
    places, samples, seed, noise
):
    rng = torch.Generator().manual_seed(seed)
    found = torch.randn(places, 1, generator=rng, dtype=torch.float64)
    found = found + noise * torch.randn(places, samples, generator=rng, dtype=torch.float64)
    means = found.mean(dim=1)
    drawn, away = means.mean() - believed(found), means.mean() - means
    assert (drawn * away >= -1e-12).all()
    assert (drawn.abs() <= away.abs() + 1e-12).all()


@given(places)
def test_chance_alone_is_not_believed(places):
    even = torch.cat([torch.ones(places, 500), -torch.ones(places, 500)], dim=1)
    assert torch.equal(believed(even + 3), torch.full((places,), 3.0))


def test_it_is_nearer_to_the_truth_than_what_was_found():
    rng = torch.Generator().manual_seed(0)
    off = torch.zeros(2)
    for _ in range(200):
        truth = torch.randn(15, generator=rng)
        found = truth[:, None] + 6 * torch.randn(15, 20, generator=rng)
        for index, guess in enumerate((found.mean(dim=1), believed(found))):
            off[index] += (guess - truth).square().sum()
    assert off[1] < 0.8 * off[0]
