"""A configuration that is wrong is one sentence, whatever is wrong with it."""

import contextlib
import copy
import itertools
import random

import pytest
import tomllib
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.training import OptimizerConfig, TrainConfig, load_config, print_config
from fpdm.training.reading import structure_config, unstructure_config
from tests.commands import run

DEFAULT = unstructure_config(TrainConfig())
TABLES = [key for key, value in DEFAULT.items() if isinstance(value, dict)]


def paths(tree: dict, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all values and tables; of a component, only the whole."""
    found = []
    for key, value in tree.items():
        found.append((*at, key))
        if isinstance(value, dict) and not at:
            found += paths(value, (*at, key))
    return found


def put(path: tuple[str, ...], value: object) -> dict:
    tree = copy.deepcopy(DEFAULT)
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return tree


OPTIONAL = [("optimizer", "decay_steps"), ("start_from",)]
WRONG = [object, None, [[1]], {"nonsense": 1}, "\x00", -1, float("nan"), float("inf"), ""]


@given(path=st.sampled_from(paths(DEFAULT)), value=st.sampled_from(WRONG))
@settings(max_examples=200)
def test_a_wrong_value_is_one_sentence_that_names_the_key(path, value):
    assume(value is not None or path not in OPTIONAL)  # where None is the default
    with pytest.raises(InvalidValueError) as caught:
        structure_config(put(path, value))
    message = str(caught.value)
    assert "\n" not in message
    assert path[-1] in message or path[0] in message


@given(table=st.sampled_from([*TABLES, ""]), key=st.text(min_size=1, max_size=12))
def test_an_unknown_key_is_named(table, key):
    known = DEFAULT[table] if table else DEFAULT
    if key in known:
        return
    with pytest.raises(InvalidValueError) as caught:
        structure_config(put((table, key) if table else (key,), 1))
    assert repr(key) in str(caught.value) or "there is no" in str(caught.value)


@given(noise=st.binary(max_size=60), at=st.integers(0, 3000))
def test_a_damaged_file_is_one_sentence_or_still_a_configuration(noise, at, tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "damaged.toml"
    content = print_config(TrainConfig()).encode()
    path.write_bytes(content[:at] + noise + content[at + len(noise) :])
    with contextlib.suppress(InvalidValueError):  # and no other error
        load_config(path)


@given(path=st.sampled_from(paths(DEFAULT)), seed=st.integers(0, 2**32))
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
def test_the_program_ends_with_one_line_and_writes_nothing(path, seed, tmp_path_factory, capsys):
    folder = tmp_path_factory.mktemp("program")
    text = "[" + ".".join(path[:-1]) + "]\n" if path[:-1] else ""
    wrong = random.Random(seed).choice(["[1]", "''", "-1", "nan", "{ nonsense = 1 }", "=", "1 2"])
    (folder / "wrong.toml").write_text(f"{text}{path[-1]} = {wrong}\n")
    code, _, error = run(capsys, "train", folder / "wrong.toml", "--out", folder / "out")
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    assert "Traceback" not in error
    assert [found.name for found in folder.iterdir()] == ["wrong.toml"]


@pytest.mark.parametrize(
    "overrides", [[], ["model.network=dit"], ["data.kind=image-folder", "data.root=pictures"]]
)
def test_what_is_printed_is_what_was_read(overrides):
    config = load_config("digits", overrides)
    assert structure_config(tomllib.loads(print_config(config))) == config


def test_every_key_is_explained():
    lines = print_config(TrainConfig()).splitlines()
    for before, line in itertools.pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("# "), line


def test_another_network_leaves_the_old_ones_keys_out():
    config = load_config("digits", ["model.network=dit", "model.depth=3"])
    assert config.model["depth"] == 3
    assert config.model["hidden_size"] == 128


def test_a_table_may_be_a_mapping():
    given = TrainConfig(optimizer={"learning_rate": 3e-4}, diffusion={"prediction": "flow"})
    assert given == TrainConfig(
        optimizer=OptimizerConfig(learning_rate=3e-4), diffusion=Diffusion(prediction="flow")
    )
    with pytest.raises(InvalidValueError, match="Did you mean 'learning_rate'"):
        TrainConfig(optimizer={"learing_rate": 3e-4})
