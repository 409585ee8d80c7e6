"""The Jacobian of the map at the solution: what is estimated of it, added to a loss, and logged."""

import attrs
import pytest
import torch

import fpdm
from fpdm.errors import InvalidValueError
from fpdm.training import JacobianConfig, Run, TrainConfig, Training
from fpdm.training.config import CheckpointsConfig, EngineConfig, OptimizerConfig, TrackingConfig
from fpdm.training.draws import noise
from fpdm.training.jacobian import JacobianWatch, is_due, spectral_radius, squared_norm
from fpdm.training.tracking import LOG, read_log
from tests.toys import BlockPasses, lively, tiny
from tests.training.runs import assert_equal, newest
from tests.training.tiny import config

SIZE = 6


def matrices(count: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(count, SIZE, SIZE, generator=rng, dtype=torch.float64)


def applied(matrix: torch.Tensor):
    return lambda z: (matrix @ z[..., None])[..., 0]


def drawn(count: int, probes: int) -> torch.Tensor:
    return noise(0, range(count), (probes, SIZE), "jacobian").double()


def test_many_probes_come_to_the_frobenius_norm_within_their_own_error():
    matrix, probes = matrices(3), 4000
    each = torch.stack(
        [
            squared_norm(applied(matrix), torch.zeros(3, SIZE).double(), one[:, None])
            for one in drawn(3, probes).unbind(1)[:400]
        ]
    )
    truth = matrix.square().sum(dim=(1, 2)) / SIZE
    error = each.std(dim=0) / len(each) ** 0.5
    assert (error < 0.1 * truth).all()
    assert ((each.mean(dim=0) - truth).abs() < 4 * error).all()
    together = squared_norm(
        applied(matrix), torch.zeros(3, SIZE).double(), drawn(3, probes)[:, :400]
    )
    torch.testing.assert_close(together, each.mean(dim=0))


def test_its_gradient_is_the_analytic_one():
    matrix = matrices(2).requires_grad_()
    eps = drawn(2, 3)
    squared_norm(applied(matrix), torch.zeros(2, SIZE).double(), eps).sum().backward()
    # d/dA of the mean over probes of |e^T A|^2 / D
    truth = 2 * torch.einsum("bpi,bpj,bjk->bik", eps, eps, matrix.detach()) / (3 * SIZE)
    torch.testing.assert_close(matrix.grad, truth)


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.7])
def test_the_radius_of_a_scaled_rotation_is_the_scale(factor):
    turn = torch.linalg.qr(matrices(2)).Q
    found = spectral_radius(
        applied(factor * turn), torch.zeros(2, SIZE).double(), drawn(2, 1)[:, 0]
    )
    torch.testing.assert_close(found, torch.full((2,), factor).double())


def test_the_radius_is_right_for_a_leading_pair_of_complex_numbers():
    pair = torch.tensor([[0.0, -1.2, 0.0], [1.2, 0.0, 0.0], [0.0, 0.0, 0.4]]).double()
    basis = torch.tensor([[1.0, 0.5, 0.2], [0.0, 1.0, -0.7], [0.3, 0.0, 1.0]]).double()
    skewed = (basis @ pair @ basis.inverse()).expand(4, 3, 3)
    assert skewed[0].norm(2) > 1.25  # it is not normal: a stretch is not the radius
    start = noise(0, range(4), (3,), "jacobian").double()
    z = torch.zeros(4, 3).double()
    found = spectral_radius(applied(skewed), z, start, products=200)
    torch.testing.assert_close(found, torch.full((4,), 1.2).double(), rtol=5e-3, atol=0)
    assert (spectral_radius(applied(skewed), z, start) / 1.2 - 1).abs().max() < 0.05


def test_a_map_that_is_constant_has_no_radius_and_no_norm():
    z, start = torch.zeros(2, SIZE), drawn(2, 1).float()
    assert spectral_radius(lambda z: 0 * z + 1, z, start[:, 0]).tolist() == [0, 0]
    assert squared_norm(lambda z: 0 * z + 1, z, start).tolist() == [0, 0]


@pytest.mark.parametrize("switch", ["lean", "checkpointed"])
def test_a_block_that_computes_again_has_the_same_penalty_and_gradient(switch):
    found = []
    for switched in (False, True):
        model = tiny().train()
        block = model.layer.block
        for module in block.modules():
            if hasattr(module, "lean"):
                module.lean = switched and switch == "lean"
        if switched and switch == "checkpointed":
            model.enable_gradient_checkpointing()
        watch = JacobianWatch(JacobianConfig(weight=1.0), seed=0, step=0, places=range(3))
        x = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        out = model(x, timestep=500, class_labels=torch.arange(3), watch=watch,
                    generator=torch.Generator().manual_seed(0))  # fmt: skip
        assert watch.evals == 1
        (out.sample.square().mean() + watch.penalty).backward()
        found.append((watch.penalty.detach(), [p.grad for p in block.parameters()]))
    torch.testing.assert_close(found[0], found[1])


def test_the_gradient_of_the_penalty_is_that_of_differences():
    model = tiny().double().train()
    weight = model.layer.block.block.mlp[0].weight
    x = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    cond = model.embed(x, torch.tensor(500.0), torch.arange(3), None, None)
    features = model.denoiser.pre(x, cond).detach()
    eps = noise(0, range(3), (1, *features.shape[1:]), "jacobian").double()

    def penalty():
        return squared_norm(model.layer.block.bind(features, cond), features, eps).mean()

    (found,) = torch.autograd.grad(penalty(), weight)
    at = divmod(int(found.abs().argmax()), found.shape[1])
    moved = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            weight[at] += step
        moved.append(penalty().item())
        with torch.no_grad():
            weight[at] -= step
    assert found[at].item() == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-5)


def steps_of(jacobian: JacobianConfig, **changes) -> list:
    return list(Training(config(jacobian=jacobian, **changes)))


def test_without_it_nothing_is_evaluated_and_nothing_said():
    training, counted = Training(config()), []
    with BlockPasses(training.bare) as passes:
        for progress in training:
            counted.append(passes.count)
            assert progress.jacobian_penalty is progress.spectral_radius is None
            assert progress.jacobian_evals == 0
    assert counted == [5 * step for step in (1, 2, 3, 4)]  # one before, three iterations, one after


def test_evaluations_for_it_are_said_apart_from_those_of_the_solve():
    plain = steps_of(JacobianConfig())
    watched = steps_of(JacobianConfig(weight=1e-9, radius_every=2))
    for one, other in zip(plain, watched, strict=True):
        assert (one.no_grad_evals, one.grad_evals) == (other.no_grad_evals, other.grad_evals)
        assert other.loss == pytest.approx(one.loss, rel=1e-3)
    assert [each.jacobian_evals for each in watched] == [1, 2, 1, 2]
    assert [each.spectral_radius is not None for each in watched] == [False, True] * 2
    assert all(each.jacobian_penalty > 0 for each in watched)


def test_it_is_added_on_its_share_of_the_steps_drawn_by_the_seed():
    some = JacobianConfig(weight=1.0, frequency=0.3)
    due = [is_due(some, seed=3, step=step) for step in range(2000)]
    assert 0.26 < sum(due) / len(due) < 0.34
    assert due != [is_due(some, seed=4, step=step) for step in range(2000)]
    steps = steps_of(some, steps=12, seed=3)
    assert [each.jacobian_penalty is not None for each in steps] == due[:12]
    assert 0 < sum(due[:12]) < 12


def test_a_weight_lowers_the_norm_of_the_jacobian():
    found = []
    for weight in (0.0, 1.0):
        rate = OptimizerConfig(learning_rate=1e-2, warmup_steps=5)
        jacobian = JacobianConfig(weight=weight, radius_every=60)
        training = Training(config(jacobian=jacobian, steps=60, batch_size=32, optimizer=rate))
        radius = [each.spectral_radius for each in training][-1]
        watch = JacobianWatch(JacobianConfig(weight=1.0, probes=8), seed=0, step=0, places=range(8))
        model, x = training.bare, training.data.images[:8]
        model(x, timestep=500, class_labels=torch.arange(8), watch=watch,
              generator=torch.Generator().manual_seed(0))  # fmt: skip
        found.append((watch.penalty.item(), radius))
    assert found[1][0] < 0.5 * found[0][0]
    assert found[1][1] < found[0][1]


def test_parts_of_a_batch_have_the_penalty_of_the_whole():
    found = [
        steps_of(
            JacobianConfig(weight=0.1, radius_every=1),
            steps=1,
            engine=EngineConfig(gradient_accumulation=parts),
        )[0]
        for parts in (1, 4)
    ]
    for name in ("jacobian_penalty", "spectral_radius", "gradient_norm"):
        one, four = (getattr(each, name) for each in found)
        assert one == pytest.approx(four, rel=1e-4), name


def test_a_training_that_is_gone_on_with_is_the_same_to_the_last_bit(tmp_path):
    wanted = config(
        jacobian=JacobianConfig(weight=0.1, frequency=0.5, probes=2, radius_every=2),
        steps=6,
        checkpoints=CheckpointsConfig(every=1, keep=0),
        tracking=TrackingConfig(every=4, samples_every=0),
    )
    list(Run(Training(wanted), tmp_path / "whole"))
    for step in iter(Run(Training(wanted), tmp_path / "cut")):
        if step.step == 3:
            break
    assert Run(Training(wanted), tmp_path / "cut").resumed > 0
    list(Run(Training(wanted), tmp_path / "cut"))
    assert_equal(newest(tmp_path / "whole"), newest(tmp_path / "cut"))
    lines = {line["step"]: line for line in read_log(tmp_path / "whole" / LOG)}
    assert list(lines) == [2, 4, 6]  # a line for each radius
    assert all(line["spectral_radius"] > 0 for line in lines.values())


@pytest.mark.parametrize("name", ["mlp", "fpunet"])
def test_other_networks_need_know_nothing_of_it(name):
    model = {"network": name, "width": 8}
    (step, *_) = steps_of(JacobianConfig(weight=0.1, radius_every=1), model=model)
    assert step.jacobian_penalty > 0
    assert step.spectral_radius > 0


@pytest.mark.parametrize("wanted", [{"weight": 0.1}, {"radius_every": 3}])
def test_what_cannot_be_is_refused_in_a_sentence(wanted):
    jacobian = JacobianConfig(**wanted)
    explicit = {"network": "dit", "patch_size": 4, "hidden_size": 8, "num_heads": 2, "depth": 1}
    with pytest.raises(InvalidValueError, match=r"jacobian\..*: a DiT has no implicit layer"):
        Training(config(model=explicit, jacobian=jacobian))
    for engine, name in (({"compile": True}, "compile"), ({"sharding": "fsdp"}, "sharding")):
        with pytest.raises(InvalidValueError, match=rf"jacobian\..* with engine\.{name}") as caught:
            config(jacobian=jacobian, engine=EngineConfig(**engine))
        assert "\n" not in str(caught.value)


def test_a_network_that_hands_nothing_on_is_refused():
    class Closed(fpdm.FPDiT):
        def forward(self, x, timestep, class_labels, generator=None):
            return super().forward(x, timestep, class_labels, generator=generator)

    network = Closed(sample_size=8, in_channels=1, num_classes=10, hidden_size=8, num_heads=2)
    with pytest.raises(InvalidValueError, match="a Closed takes no watch"):
        Training(config(jacobian=JacobianConfig(weight=1.0)), network=lively(network))


@pytest.mark.parametrize(
    "wrong",
    [{"weight": -1}, {"frequency": 0}, {"frequency": 1.5}, {"probes": 0}, {"radius_every": -1}],
)
def test_a_wrong_value_is_named(wrong):
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        JacobianConfig(**wrong)


def test_what_is_drawn_follows_from_the_place_of_a_sample():
    whole = noise(0, range(8), (3, 5), "jacobian")
    assert torch.equal(whole[3:], noise(0, range(3, 8), (3, 5), "jacobian"))
    rows = [noise(0, range(8), (3, 5), *name) for name in ((), ("jacobian",), ("radius",))]
    assert len({tuple(row.flatten().tolist()) for row in rows}) == 3


def test_a_table_of_it_is_read_and_kept():
    assert attrs.asdict(TrainConfig().jacobian) == {
        "weight": 0.0, "frequency": 1.0, "probes": 1, "radius_every": 0,
    }  # fmt: skip
