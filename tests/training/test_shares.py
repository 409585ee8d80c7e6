"""A share of a batch costs what it holds, and holds the same however many processes there are."""

import itertools
import math

import pytest
import torch
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from fpdm.data import Batch, Dataset, Shape
from fpdm.diffusion import Diffusion
from fpdm.testing.strategies import seeds
from fpdm.training import TrainConfig
from fpdm.training.batches import Share, Shares
from fpdm.training.draws import BLOCK, chances, noise
from fpdm.training.seeding import generator, shuffled
from tests.training.written import written


@frozen(eq=False)
class Echo(Dataset):
    """Each image is the number of its sample, and the seed that it was asked for with."""

    size: int = 4
    count: int = 100_000

    @property
    def shape(self) -> Shape:
        return Shape(2, self.size, 10)

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: torch.Tensor, seeds: torch.Tensor) -> Batch:
        assert (seeds >= 0).all()
        images = torch.stack([indices, seeds], dim=1).float()
        return Batch(images[:, :, None, None].expand(-1, -1, self.size, self.size), indices % 10)


def shares(batch_size: int, *, data: Dataset | None = None, rank=0, world=1, **options) -> Shares:
    config = TrainConfig(batch_size=batch_size, **options)
    return Shares(config, Echo() if data is None else data, rank, world)


def joined(parts: list[Share]) -> list[torch.Tensor]:
    return [torch.cat(values) for values in zip(*(part[:4] for part in parts), strict=True)]


def assert_same(one: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# what it costs


@pytest.mark.parametrize("world", [2, 16, 64, 512])
@pytest.mark.parametrize("prediction", ["v_prediction", "flow"])
def test_a_share_costs_what_a_batch_of_its_size_costs(world, prediction):
    options = {"data": Echo(size=8), "diffusion": Diffusion(prediction)}
    alone = shares(64, **options)
    together = shares(64 * world, rank=world - 1, world=world, **options)
    alone[1], together[1]  # which shuffles the first epochs, once for many steps
    cost = written(lambda: alone[1])
    assert cost > 64 * 2 * 8 * 8
    assert written(lambda: together[1]) <= 1.01 * cost


def test_a_share_of_one_sample_costs_little_more_than_a_batch_of_one():
    alone, together = shares(1), shares(4096, rank=77, world=4096)
    alone[1], together[1]
    assert written(lambda: together[1]) <= 1.01 * written(lambda: alone[1])


def test_the_cost_of_a_share_does_not_grow_with_the_data_set():
    few, many = (shares(64, data=Echo(count=count)) for count in (1000, 1_000_000))
    few[0], many[0]
    assert written(lambda: many[1]) == written(lambda: few[1])


def test_a_share_holds_little_memory_but_its_own():
    share = shares(4096, rank=3, world=64)[0]
    assert share.noise.untyped_storage().nbytes() == 4 * share.noise.numel()
    assert share.timestep.untyped_storage().nbytes() <= 8 * BLOCK
    assert share.labels.untyped_storage().nbytes() == 8 * len(share.labels)


# that it is the same


@given(
    seed=seeds,
    step=st.integers(0, 10**6),
    world=st.sampled_from([1, 2, 3, 4, 8, 64]),
    each=st.integers(1, 9),
    size=st.integers(1, 9),
    count=st.sampled_from([1, 7, 300]),
    prediction=st.sampled_from(["v_prediction", "flow"]),
)
@settings(max_examples=60)
def test_processes_draw_together_what_one_draws(seed, step, world, each, size, count, prediction):
    options = {
        "data": Echo(size=size, count=count),
        "seed": seed,
        "diffusion": Diffusion(prediction),
        "class_dropout": 0.3,
    }
    whole = shares(each * world, **options)[step]
    parts = [shares(each * world, rank=rank, world=world, **options)[step] for rank in range(world)]
    assert_same(joined(parts), joined([whole]))


@given(seed=seeds, step=st.integers(0, 50), parts=st.integers(1, 5), size=st.integers(1, 9))
def test_what_a_sample_draws_depends_on_its_place_alone(seed, step, parts, size):
    options = {"data": Echo(size=size, count=97), "seed": seed}
    whole = shares(4 * parts, **options)[step]
    small = shares(4, **options)
    assert_same(joined([small[step * parts + part] for part in range(parts)]), joined([whole]))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 7), (3, 96, 96)])
def test_what_is_drawn_does_not_depend_on_threads(shape):
    before, drawn = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            drawn.append(noise(0, range(5, 40), shape))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(each, drawn[0]) for each in drawn)


def test_workers_read_ahead_what_is_drawn_here():
    from fpdm.training import EngineConfig

    here, ahead = (
        shares(8, steps=6, engine=EngineConfig(workers=workers)).loader(2) for workers in (0, 2)
    )
    assert_same(joined(list(here)), joined(list(ahead)))


def test_what_is_drawn_stays_what_it_was():
    """A run goes on with what it began with: these numbers are a promise."""
    drawn = noise(1, range(1000, 1002), (1, 2, 2)).flatten()
    torch.testing.assert_close(drawn, torch.tensor(NOISE), rtol=0, atol=1e-5)
    found = chances(Diffusion(), 1, range(254, 258))
    assert found.timestep.tolist() == TIMESTEPS
    assert found.seed.tolist() == SEEDS
    torch.testing.assert_close(found.label, torch.tensor(LABELS), rtol=0, atol=1e-6)
    assert shuffled(1, range(5, 12), size=6).tolist() == ORDER


NOISE = [0.885048, -0.124273, 0.373316, 0.788311, -0.965258, -1.590739, 1.629038, 0.262674]
TIMESTEPS = [280, 473, 434, 281]
LABELS = [0.746229, 0.757135, 0.811309, 0.996284]
SEEDS = [4028690672598117883, 77918748585456798, 3789017658155971335, 4043099598934909667]
ORDER = [1, 5, 2, 1, 3, 0, 4]

# the order


@given(seed=seeds, start=st.integers(0, 300), count=st.integers(0, 60), size=st.integers(1, 50))
def test_the_order_is_that_of_epochs_shuffled_one_after_another(seed, start, count, size):
    epochs = range((start + count) // size + 1)
    row = torch.cat(
        [torch.randperm(size, generator=generator(seed, epoch, "order")) for epoch in epochs]
    )
    expected = row[start : start + count]
    assert torch.equal(shuffled(seed, range(start, start + count), size=size), expected)


# that it is random


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """In standard errors of what is drawn independently."""
    a, b = a.double().flatten(), b.double().flatten()
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt()) * a.numel() ** 0.5


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    """Neighbours: 1024 samples of 1024 numbers."""
    return noise(3, range(70_000, 71_024), (4, 16, 16)).flatten(1)


def test_noise_has_the_moments_of_a_normal_distribution(normals):
    values, count = normals.double().flatten(), normals.numel()
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (5, 0), (6, 15)):
        spread = math.sqrt(math.prod(range(1, 2 * power, 2)) - moment**2)  # of x^power
        assert abs(float((values**power).mean()) - moment) < 4 * spread / count**0.5


def test_noise_has_the_distribution_function_of_a_normal_one(normals):
    values = normals.double().flatten().sort().values
    expected = torch.special.ndtr(values)
    found = (torch.arange(len(values), dtype=torch.float64) + 0.5) / len(values)
    assert float((found - expected).abs().max()) < 1.95 / len(values) ** 0.5  # Kolmogorov, 0.1 %
    assert normals.abs().max() > 4.5
    beyond = float((normals.abs() > 4).double().mean())
    assert beyond == pytest.approx(math.erfc(4 / 2**0.5), rel=0.6)


@pytest.mark.parametrize("function", [lambda x: x, lambda x: x.square() - 1])
def test_neighbours_in_noise_are_independent(normals, function):
    x = function(normals)
    pairs = {
        "values": (x[:, 1:], x[:, :-1]),
        "two apart": (x[:, 2:], x[:, :-2]),
        "halves": (x[:, ::2], x[:, 1::2]),
        "rows": (x[:, 16:], x[:, :-16]),
        "samples": (x[1:], x[:-1]),
        "half a share apart": (x[512:], x[:512]),
        "seeds": (x, function(noise(4, range(70_000, 71_024), (4, 16, 16)).flatten(1))),
        "steps": (x, function(noise(3, range(74_096, 75_120), (4, 16, 16)).flatten(1))),
    }
    for name, (a, b) in pairs.items():
        assert abs(correlation(a, b)) < 4.5, name


def test_a_mean_over_samples_is_as_wide_as_of_independent_ones(normals):
    for means in (normals.mean(dim=0), normals.mean(dim=1)):
        assert float(means.var()) * 1024 == pytest.approx(1, abs=4.5 * (2 / 1024) ** 0.5)


@pytest.mark.parametrize("prediction", ["v_prediction", "flow"])
def test_chances_are_uniform_and_independent(prediction):
    drawn = chances(Diffusion(prediction), 0, range(50, 100_050))
    uniform = {
        "timestep": drawn.timestep.double() / 1000,
        "label": drawn.label.double(),
        "seed": drawn.seed.double() / 2**62,
    }
    for name, values in uniform.items():
        assert 0 <= values.min() < 0.001 < 0.998 < values.max() <= 1, name
        counts = torch.histc(values, bins=100, min=0, max=1)
        assert float(((counts - 1000) ** 2 / 1000).sum()) < 150, name  # χ² of 99, 0.1 %: 148
        centred = values - values.mean()
        for apart in (1, 2, BLOCK):  # neighbours, and the same place in the next block
            assert abs(correlation(centred[apart:], centred[:-apart])) < 4.5, (name, apart)
    for a, b in itertools.combinations(uniform.values(), 2):
        assert abs(correlation(a - a.mean(), b - b.mean())) < 4.5
    assert len(drawn.seed.unique()) == len(drawn.seed)


@pytest.mark.parametrize("dropout", [0.0, 0.1, 1.0])
def test_so_many_labels_are_dropped(dropout):
    labels = shares(4096, class_dropout=dropout)[2].labels
    spread = 4 * (dropout * (1 - dropout) / 4096) ** 0.5
    assert abs(float((labels == 10).double().mean()) - dropout) <= spread


@given(
    places=st.integers(0, 2**40),
    count=st.integers(0, 5),
    shape=st.lists(st.integers(1, 5), min_size=3, max_size=3),
)
def test_noise_is_of_its_shape_and_finite(places, count, shape):
    drawn = noise(0, range(places, places + count), tuple(shape))
    assert drawn.shape == (count, *shape)
    assert drawn.dtype == torch.float32
    assert drawn.isfinite().all()
    assert drawn.is_contiguous()
