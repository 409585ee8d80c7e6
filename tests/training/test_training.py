"""Training: a function of its configuration, and of nothing else."""

import json
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.diffusion.process import PREDICTIONS
from fpdm.errors import FPDMError, InvalidValueError, UnknownNameError
from fpdm.testing.strategies import seeds
from fpdm.training import Training, load_config
from fpdm.training.config import OptimizerConfig
from fpdm.training.loop import learning_rate_curve
from fpdm.training.reading import structure_config, unstructure_config
from fpdm.training.run import Run
from fpdm.training.seeding import STREAMS, drop, generator, shuffled
from fpdm.training.sources import CONFIGS
from tests.training.tiny import TINY, config, trained


def weights(training: Training) -> dict[str, torch.Tensor]:
    return training.pipeline().model.state_dict()


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_the_same_weights():
    sjfb = TINY | {"gradient": {"name": "sjfb", "max_no_grad": 2, "max_grad": 2}}
    first = weights(trained(config(model=sjfb)))
    torch.rand(17)  # what else is drawn does not matter
    assert equal(first, weights(trained(config(model=sjfb))))
    assert not equal(first, weights(trained(config(model=sjfb, seed=1))))


def test_training_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    trained(config())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    "model",
    [TINY, {"network": "dit", "patch_size": 4, "hidden_size": 8, "num_heads": 2, "depth": 2}],
)
def test_the_loss_falls_for_every_prediction_and_network(prediction, model):
    diffusion = fpdm.diffusion.Diffusion(prediction)
    training = Training(
        config(
            steps=120,
            batch_size=64,
            diffusion=diffusion,
            model=model,
            optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=5),
        )
    )
    losses = [progress.loss for progress in training]
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])


def test_each_step_reports_what_it_did():
    steps = list(Training(config(steps=5)))
    assert [progress.step for progress in steps] == [1, 2, 3, 4, 5]
    assert all(progress.loss > 0 and progress.residual > 0 for progress in steps)
    assert all(progress.gradient_norm > 0 for progress in steps[1:])
    explicit = Training(
        config(
            model={"network": "dit", "patch_size": 4, "hidden_size": 8, "num_heads": 2, "depth": 1}
        )
    )
    assert next(iter(explicit)).residual is None


def test_gradients_are_clipped_before_the_step():
    training = Training(config(optimizer=OptimizerConfig(max_grad_norm=1e-6), steps=3))
    for _ in training:
        grads = [p.grad for p in training.network.parameters()]
        assert all(grad is None for grad in grads)  # and gone after it
    moments = [state["exp_avg"].norm() for state in training.optimizer.state.values()]
    assert max(moments) < 1e-6


@given(decay=st.floats(0, 1))
@settings(max_examples=5)
def test_the_average_follows_the_weights_at_the_pace_of_its_decay(decay):
    training = Training(config(ema_decay=decay, steps=4))
    average = None
    for _ in training:
        now = {name: value.detach().clone() for name, value in training.network.named_parameters()}
        average = (
            now
            if average is None
            else {name: decay * average[name] + (1 - decay) * value for name, value in now.items()}
        )
    averaged = training.averaged()
    for name, value in average.items():
        torch.testing.assert_close(averaged[name], value)


@given(seed=seeds, size=st.integers(1, 50), batch_size=st.integers(1, 70))
def test_every_sample_is_seen_once_per_epoch(seed, size, batch_size):
    steps = 3 * size // batch_size + 3
    starts = range(0, steps * batch_size, batch_size)
    row = torch.cat([shuffled(seed, range(at, at + batch_size), size=size) for at in starts])
    assert len(row) == steps * batch_size
    for epoch in range(len(row) // size):
        assert row[epoch * size : (epoch + 1) * size].sort().values.tolist() == list(range(size))


@given(seed=st.integers(0, 1000), step=st.integers(0, 10**6))
def test_no_two_streams_share_their_randomness(seed, step):
    drawn = {
        torch.randint(2**62, (), generator=generator(seed, at, stream)).item()
        for stream in STREAMS
        for at in (step, step + 1)
    }
    assert len(drawn) == 2 * len(STREAMS)


@given(share=st.floats(0, 1), seed=seeds)
def test_labels_are_dropped_to_the_null_class(share, seed):
    labels = torch.arange(2000) % 10
    chance = torch.rand(2000, generator=torch.Generator().manual_seed(seed))
    kept = drop(labels, chance < share, 10)
    assert ((kept == 10) | (kept == labels)).all()
    assert float((kept == 10).double().mean()) == pytest.approx(share, abs=0.06)


@given(warmup=st.integers(0, 100), steps=st.integers(1, 500), final=st.floats(0, 1))
def test_the_learning_rate_rises_then_falls_to_its_end(warmup, steps, final):
    at = learning_rate_curve(
        OptimizerConfig(warmup_steps=warmup, final_learning_rate=final), warmup + steps
    )
    rising, falling = (
        [at(i) for i in range(warmup)],
        [at(i) for i in range(warmup, warmup + steps + 1)],
    )
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert max([*rising, *falling]) == falling[0] == 1
    assert falling[-1] == pytest.approx(final)
    assert all(rate > 0 for rate in rising)


def test_a_finished_run_is_a_pipeline_and_its_configuration(tmp_path):
    training = Training(config())
    for _ in Run(training, tmp_path):
        pass
    loaded = fpdm.FPDMPipeline.from_pretrained(tmp_path)
    assert equal(loaded.model.state_dict(), weights(training))
    assert structure_config(json.loads((tmp_path / "training.json").read_text())) == training.config


def test_the_packaged_configuration_is_complete():
    for path in CONFIGS.glob("*.toml"):
        loaded = load_config(path.stem)
        assert structure_config(unstructure_config(loaded)) == loaded


def test_overrides_replace_single_values():
    loaded = load_config("digits", ["steps=7", "optimizer.learning_rate = 3e-4", "data=digits"])
    assert (loaded.steps, loaded.optimizer.learning_rate) == (7, 3e-4)
    solver = load_config("digits", ['model.solver={name="anderson", memory=3}']).model["solver"]
    assert fpdm.plugins.resolve("solver", solver) == fpdm.solver("anderson", memory=3)
    assert load_config("digits", ["model.solver=broyden"]).model["solver"]["name"] == "broyden"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stepps=3"], "there is no 'stepps'. Did you mean 'steps'"),
        (["steps=many"], "steps: 'many': must be a whole number"),
        (["steps=2.5"], "steps: 2.5: must be a whole number"),
        (["steps=0"], "steps=0: must be a whole number ≥ 1"),
        (["steps=true"], "steps: True"),
        (["optimizer.lr=1"], "optimizer: there is no 'lr'"),
        (["optimizer.learning_rate=-1"], "optimizer: learning_rate=-1.0: must be a number > 0"),
        (["optimizer.learning_rate=x"], "optimizer.learning_rate: 'x': must be a number"),
        (["model.network=unet"], "model: network='unet': Did you mean 'fpunet'"),
        (["model.depth=3"], "model: there is no 'depth'"),
        (["model=3"], "model: 3: must be a table"),
        (["diffusion.prediction=eps"], "diffusion: prediction='eps': must be one of"),
        (["data=cifar"], "data: kind='cifar': Available: digits"),
        (["steps"], "must be key=value"),
        (["steps.more=1"], "steps is not a table"),
        (["class_dropout=1.5"], "class_dropout=1.5"),
        (["model.solver=andersen"], "model: No solver is named 'andersen'. Did you mean"),
        (["model.solver={memory=3}"], "model: solver={'memory': 3}: must be a name"),
        (["model.gradient.max_gard=3"], "has no option 'max_gard'. Did you mean 'max_grad'"),
        (["model.network=[1]"], "model: network=[1]"),
        (["seed=4294967296"], "seed=4294967296: must be a whole number"),
    ],
)
def test_a_wrong_configuration_names_the_key(overrides, message):
    with pytest.raises(InvalidValueError) as caught:
        load_config("digits", overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(InvalidValueError, match=r"bad\.toml cannot be read as TOML"):
        load_config(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidValueError, match=r"binary\.toml cannot be read"):
        load_config(tmp_path / "binary.toml")
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        load_config("digit")
    with pytest.raises(FPDMError, match="no file or configuration"):
        load_config(tmp_path / "absent.toml")


def test_sizes_that_do_not_fit_the_data_are_refused():
    with pytest.raises(InvalidValueError, match="patch_size=3 must divide sample_size=8"):
        Training(config(model=TINY | {"patch_size": 3}))
    with pytest.raises(UnknownNameError, match="No gradient is named 'sjbf'"):
        config(model=TINY | {"gradient": {"name": "sjbf"}})


def test_labels_are_not_dropped_where_none_stands_for_no_class():
    model = TINY | {"has_null_class": False}
    with pytest.raises(InvalidValueError, match=r"class_dropout=0.1: the network has no class"):
        Training(config(model=model))
    assert next(iter(Training(config(model=model, class_dropout=0.0)))).loss > 0


def test_a_folder_of_before_an_option_there_is_now_is_gone_on_with(tmp_path):
    settings = config(steps=2)
    list(Run(Training(settings), tmp_path))
    for path in (tmp_path / "training.json", *tmp_path.rglob("state.json")):
        tree = json.loads(path.read_text())
        model = tree["model"] if "model" in tree else tree["config"]["model"]
        del model["has_null_class"], model["stored_positions"]
        path.write_text(json.dumps(tree))
    shutil.rmtree(tmp_path / "checkpoints")
    assert Run(Training(settings), tmp_path).resumed == 0
