"""A training begins with the weights of a trained network, and goes on without it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.models import implicit_from_explicit
from fpdm.training import Run, TrackingConfig, TrainConfig, Training, load_config, print_config
from fpdm.training.reading import structure_config, unstructure_config
from fpdm.training.tracking import LOG, read_log
from tests.commands import run
from tests.training.runs import TINY, WEIGHTS, assert_equal, config, finish, newest
from tests.training.sets import Named

EXPLICIT = {"network": "dit", "patch_size": 4, "hidden_size": 8, "num_heads": 2, "depth": 4}
LABELS = "embeddings.label.weight"


@pytest.fixture(scope="module")
def implicit(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("implicit")
    finish(folder, config(steps=3, seed=5, ema_decay=0.5))
    return folder


@pytest.fixture(scope="module")
def explicit(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("explicit")
    finish(folder, config(steps=3, seed=5, ema_decay=0.5, model=EXPLICIT))
    return folder


def begun(start: Path, **changes) -> Training:
    """A training at its beginning, with the weights that it has there."""
    data = changes.pop("data", None)
    training = Training(config(start_from=start, **changes), data=data)
    training.start()
    return training


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def named(folder: Path, names: list[str], tmp_path: Path, **options) -> Path:
    """A pipeline like that in a folder, with classes of these names."""
    pipe = fpdm.FPDMPipeline.from_pretrained(folder)
    sizes = {**pipe.model.config, "num_classes": len(names), **options}
    model = type(pipe.model).from_config(sizes)
    for number, weight in enumerate(model.parameters()):
        weight.data = torch.randn(
            weight.shape, generator=torch.Generator().manual_seed(number + 100)
        )
    model.prediction_type = "v_prediction"
    made = fpdm.FPDMPipeline(model, pipe.scheduler, id2label=dict(enumerate(names)) or None)
    made.save_pretrained(tmp_path / "named")
    return tmp_path / "named"


# the weights that it begins with


def test_it_begins_with_all_weights_of_a_network_of_its_kind_and_so_does_the_average(implicit):
    training = begun(implicit)
    assert_equal(training.bare.state_dict(), saved(implicit))
    assert_equal(training.averaged(), saved(implicit))
    assert training.notes == ()
    assert not torch.equal(saved(implicit)[LABELS], Training(config()).averaged()[LABELS])


@pytest.mark.parametrize(
    "show", [Training.averaged, Training.pipeline, lambda training: next(iter(training))]
)
def test_whatever_shows_the_weights_puts_them_in_first(show, implicit):
    training = Training(config(start_from=implicit))
    show(training)  # the first step is a small one
    after, before = training.averaged(), saved(implicit)
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("at", ["model", "checkpoints/0000003", "checkpoints/0000003/model"])
def test_a_network_alone_and_a_checkpoint_are_begun_with_too(at, implicit):
    assert_equal(begun(implicit / at).averaged(), saved(implicit))


def test_a_network_in_half_precision_is_begun_with_in_full(implicit, tmp_path):
    half = fpdm.FPDiT.from_pretrained(implicit / "model", torch_dtype=torch.float16)
    half.save_pretrained(tmp_path / "half")
    weights = begun(tmp_path / "half").averaged()
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert_equal(weights, {name: value.float() for name, value in half.state_dict().items()})


def test_how_a_network_solves_may_be_another(implicit):
    other = TINY | {"solver": "broyden", "init": "reuse", "gradient": "jfb", "evals": 3}
    assert_equal(begun(implicit, model=other).averaged(), saved(implicit))


def test_an_explicit_network_becomes_an_implicit_one(explicit):
    training = begun(explicit)
    made = implicit_from_explicit(saved(explicit), training.bare)
    assert_equal(training.bare.state_dict(), made)
    assert_equal(training.averaged(), made)
    assert next(iter(training)).loss > 0


def test_without_it_a_training_is_what_it_was(implicit):
    assert not torch.equal(
        begun(implicit).averaged()[LABELS], Training(config()).averaged()[LABELS]
    )
    assert TrainConfig().start_from is None


# classes


def kept(training: Training, start: Path) -> dict[int, int]:
    """Of each row of the table of classes, which one it was."""
    now, then = training.averaged()[LABELS], saved(start)[LABELS]
    return {
        row: before
        for row in range(len(now))
        for before in range(len(then))
        if torch.equal(now[row], then[before])
    }


def test_classes_are_kept_by_their_names(implicit, tmp_path):
    start = named(implicit, ["cat", "dog", "eel"], tmp_path)
    training = begun(start, data=Named(["dog", "fox", "cat", "gnu"]))
    assert kept(training, start) == {0: 1, 2: 0, 4: 3}
    fresh = Training(config(), data=Named(["dog", "fox", "cat", "gnu"])).averaged()[LABELS]
    assert torch.equal(training.averaged()[LABELS][[1, 3]], fresh[[1, 3]])
    others = saved(start).keys() - {LABELS}
    assert_equal(
        {name: training.averaged()[name] for name in others},
        {name: saved(start)[name] for name in others},
    )
    assert training.notes == (
        "start_from: of the 4 classes, 2 begin as they were; anew begin fox, gnu.",
        "start_from: of other numbers than there, and found by name, are dog, cat.",
        "start_from: of the 3 classes that were there, 1 are left out.",
    )


def test_classes_in_another_order_are_found_by_their_names(implicit, tmp_path):
    start = named(implicit, ["cat", "dog"], tmp_path)
    training = begun(start, data=Named(["dog", "cat"]))
    assert kept(training, start) == {0: 1, 1: 0, 2: 2}
    assert len(training.notes) == 1


def test_classes_without_names_are_kept_by_their_numbers(implicit, tmp_path):
    start = named(implicit, [], tmp_path, num_classes=3)
    training = begun(start, data=Named(["dog", "fox", "cat", "gnu"]))
    assert kept(training, start) == {0: 0, 1: 1, 2: 2, 4: 3}
    assert training.notes == (
        "start_from: of the 4 classes, 3 begin as they were; anew begin gnu.",
    )


def test_fewer_classes_keep_theirs_and_what_stands_for_none(implicit, tmp_path):
    start = named(implicit, [], tmp_path, num_classes=3)
    training = begun(start, data=Named(["dog"]))
    assert kept(training, start) == {0: 0, 1: 3}
    assert training.notes == ("start_from: of the 3 classes that were there, 2 are left out.",)


def test_what_stands_for_no_class_begins_anew_where_there_was_none(implicit, tmp_path):
    start = named(implicit, ["cat"], tmp_path, has_null_class=False)
    training = begun(start, data=Named(["cat"]))
    assert kept(training, start) == {0: 0}
    assert training.notes == ("start_from: what stands for no class begins anew.",)


def test_classes_are_left_out_where_none_are_known(implicit):
    model = TINY | {"has_null_class": False}
    training = begun(implicit, data=Named([]), class_dropout=0.0, model=model)
    assert LABELS not in training.averaged()
    assert training.notes == ("start_from: its classes are left out.",)


def test_an_explicit_network_with_other_classes_becomes_an_implicit_one(explicit, tmp_path):
    start = named(explicit, ["cat", "dog"], tmp_path)
    training = begun(start, data=Named(["dog", "fox"]))
    assert kept(training, start) == {0: 1, 2: 2}


# what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 16}, "hidden_size is 8 there and 16 here; must be the same"),
        ({"num_heads": 4}, "num_heads is 2 there and 4 here"),
        ({"patch_size": 2, "mlp_ratio": 2.0}, "mlp_ratio is 4.0 there and 2.0 here, patch_size is"),
        ({"clock": "unit"}, 'clock is "thousand" there and "unit" here'),
        ({"learn_sigma": True}, "learn_sigma is false there and true here"),
    ],
)
@pytest.mark.parametrize("start", ["implicit", "explicit"])
def test_another_size_is_named(start, changes, message, request):
    with pytest.raises(InvalidValueError, match=message) as caught:
        begun(request.getfixturevalue(start), model=TINY | changes)
    assert str(caught.value).startswith("start_from: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre_depth": 2}, "pre_depth is 1 there and 2 here"),
        ({"condition_pre_post_on_timestep": False}, "condition_pre_post_on_timestep is true there"),
    ],
)
def test_other_explicit_layers_are_named(changes, message, implicit):
    with pytest.raises(InvalidValueError, match=message):
        begun(implicit, model=TINY | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre_depth": 2, "post_depth": 2}, "a DiT of depth 4 has no block left to be iterated"),
        ({"condition_pre_post_on_timestep": False}, "the blocks of a DiT see the timestep"),
    ],
)
def test_an_explicit_network_that_gives_no_implicit_one_is_refused(changes, message, explicit):
    with pytest.raises(InvalidValueError, match=message):
        begun(explicit, model=TINY | changes)


def test_a_network_that_predicts_something_else_is_refused(implicit, explicit, tmp_path):
    for folder in (implicit, explicit):
        with pytest.raises(InvalidValueError, match=r"predicts 'v_prediction', and diffusion.pred"):
            begun(folder, diffusion=Diffusion("epsilon"))
    unsaid = shutil.copytree(implicit, tmp_path / "unsaid")  # the pipeline says it then
    told = json.loads((unsaid / "model" / "config.json").read_text())
    del told["prediction_type"]
    (unsaid / "model" / "config.json").write_text(json.dumps(told))
    begun(unsaid)
    with pytest.raises(InvalidValueError, match=r"predicts 'v_prediction', and diffusion.pred"):
        begun(unsaid, diffusion=Diffusion("epsilon"))


def test_a_network_of_another_class_is_refused(implicit, tmp_path):
    with pytest.raises(InvalidValueError, match="holds a FPDiT, and a DiT is trained: must be a D"):
        begun(implicit, model=EXPLICIT)
    theirs = tmp_path / "theirs"
    sizes = {"num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 4}
    fpdm.models.DiffusersDiT(sample_size=8, in_channels=1, options=sizes).save_pretrained(theirs)
    with pytest.raises(InvalidValueError, match="holds a DiffusersDiT, whose blocks each embed"):
        begun(theirs)
    told = json.loads((theirs / "config.json").read_text())
    (theirs / "config.json").write_text(json.dumps(told | {"_class_name": "Other"}))
    with pytest.raises(InvalidValueError, match="holds a Other, and a FPDiT is trained: must be a"):
        begun(theirs)


def test_a_folder_that_holds_no_network_is_refused(implicit, tmp_path):
    with pytest.raises(InvalidValueError, match="holds no network: must be a folder that"):
        begun(tmp_path / "absent")
    unfinished = shutil.copytree(implicit, tmp_path / "unfinished")
    (unfinished / "model_index.json").unlink()
    with pytest.raises(InvalidValueError, match=r"its newest checkpoint is .*0000003"):
        begun(unfinished)


def test_a_damaged_network_is_one_sentence_and_stays_refused(implicit, tmp_path):
    damaged = shutil.copytree(implicit / "model", tmp_path / "damaged")
    file = damaged / WEIGHTS.name
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    training = Training(config(start_from=damaged))
    for _ in range(2):
        with pytest.raises(InvalidValueError, match="cannot be loaded: ") as caught:
            next(iter(training))
        assert "\n" not in str(caught.value)
    weights = saved(implicit)
    del weights["denoiser.post.final.linear.bias"]
    save_file(weights, file)
    with pytest.raises(InvalidValueError, match="missing: denoiser"):
        begun(damaged)


def test_a_network_and_weights_to_begin_with_are_not_both_given(implicit):
    network = Training(config()).bare
    with pytest.raises(InvalidValueError, match="a network is given, with the weights to begin"):
        Training(config(start_from=implicit), network=network)


# runs


@pytest.mark.parametrize("said", [True, False])
def test_a_run_goes_on_without_the_network_that_it_began_with(said, explicit, tmp_path):
    start = Path(shutil.copytree(explicit, tmp_path / "start"))
    whole = config(start_from=start)
    finish(tmp_path / "whole", whole)
    for progress in Run(Training(whole), tmp_path / "parts"):
        if progress.step == 3:
            break
    shutil.rmtree(start)
    run = Run(Training(whole if said else config()), tmp_path / "parts")
    assert run.resumed == 3
    assert run.config == whole
    stays = f'start_from stays "{start}", with which the run was begun.'
    assert run.notes == (() if said else (stays,))
    for _ in run:
        pass
    assert_equal(newest(tmp_path / "parts"), newest(tmp_path / "whole"))
    assert_equal(saved(tmp_path / "parts"), saved(tmp_path / "whole"))
    kept = json.loads((tmp_path / "parts" / "training.json").read_text())
    assert kept["start_from"] == str(start)


def test_a_run_that_began_with_something_else_is_not_gone_on_with(implicit, explicit, tmp_path):
    finish(tmp_path / "run", config(start_from=implicit, steps=1))
    with pytest.raises(InvalidValueError, match="of another configuration: start_from"):
        Run(Training(config(start_from=explicit)), tmp_path / "run")
    finish(tmp_path / "scratch", config(steps=1))
    with pytest.raises(InvalidValueError, match=r"start_from \(null there, "):
        Run(Training(config(start_from=explicit)), tmp_path / "scratch")


def test_a_run_says_what_is_otherwise_than_in_the_network_that_it_began_with(implicit, tmp_path):
    start = named(implicit, ["cat", "dog"], tmp_path)
    settings = config(start_from=start, steps=2, tracking=TrackingConfig(every=1, samples_every=0))
    run = Run(Training(settings, data=Named(["cat", "fox"])), tmp_path / "run")
    assert len(run.notes) == 2
    assert list(run)[-1].step == 2
    first, second = read_log(tmp_path / "run" / LOG)
    assert first["notes"] == list(run.notes)
    assert "notes" not in second


def test_what_a_run_begins_with_is_not_removed_by_it(implicit, tmp_path):
    folder = Path(shutil.copytree(implicit, tmp_path / "run"))
    for start in (folder, folder / "checkpoints" / "0000003"):
        with pytest.raises(InvalidValueError, match="is in the run that is to be removed"):
            Run(Training(config(start_from=start)), folder, overwrite=True)
    with pytest.raises(InvalidValueError, match="holds no network"):
        Run(Training(config(start_from=tmp_path / "absent")), folder, overwrite=True)
    assert_equal(saved(folder), saved(implicit))


# the configuration, and the command


def test_the_key_is_a_folder_and_read_again_as_it_was():
    for given in ("runs/a", "runs/a/", Path("runs/a")):
        made = TrainConfig(start_from=given)
        assert made.start_from == "runs/a"
        assert structure_config(unstructure_config(made)) == made
    assert 'start_from = "runs/a"' in print_config(made)
    assert load_config("digits", ["start_from=runs/a"]).start_from == "runs/a"
    for wrong in ("", "\0", 3):
        with pytest.raises(InvalidValueError, match="start_from"):
            TrainConfig(start_from=wrong)


OPTIONS = [
    *("batch_size=8", "tracking.samples_every=0", "model.hidden_size=8", "model.num_heads=2"),
    *("model.patch_size=4", "steps=2"),
]
COMMAND = ["train", "digits", *(token for option in OPTIONS for token in ("--set", option))]


def test_the_command_begins_with_a_network_and_goes_on(explicit, tmp_path, capsys):
    out = tmp_path / "run"
    code, _, error = run(capsys, *COMMAND, "--from", explicit, "--out", out)
    assert code == 0, error
    assert json.loads((out / "training.json").read_text())["start_from"] == str(explicit)
    assert run(capsys, *COMMAND, "--out", out, "--resume")[0] == 0
    assert run(capsys, *COMMAND, "--from", explicit, "--out", out, "--resume")[0] == 0
    code, _, error = run(capsys, *COMMAND, "--from", out, "--out", out, "--resume")
    assert code == 2
    assert "start_from (" in error


def test_the_command_says_what_begins_anew(implicit, tmp_path, capsys):
    start = named(implicit, [], tmp_path, num_classes=7)
    code, _, error = run(capsys, *COMMAND, "--from", start, "--out", tmp_path / "run")
    assert code == 0, error
    assert "of the 10 classes, 7 begin as they were" in " ".join(error.split())


@pytest.mark.parametrize("start", ["absent", ""])
def test_the_command_refuses_what_is_no_network_and_leaves_nothing(start, tmp_path, capsys):
    out = tmp_path / "run"
    code, _, error = run(capsys, *COMMAND, "--from", start and tmp_path / start, "--out", out)
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_the_command_prints_it(capsys):
    for source in (["digits"], []):
        code, printed, _ = run(capsys, "train", *source, "--from", "7", "--print-config")
        assert code == 0
        assert 'start_from = "7"' in printed
