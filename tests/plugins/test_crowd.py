"""All the broken plugins at once, installed among good ones."""

import pytest

from tests.built_ins import built_ins
from tests.plugins.environments import Environment, wheel
from tests.plugins.strangers import INSTALLED, STRANGERS, Stranger, offers


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Environment:
    """An environment with all the broken plugins at once, and three good ones among them."""
    folder = tmp_path_factory.mktemp("crowded")
    made, wheels = Environment.make(folder / "environment"), folder / "wheels"
    wheels.mkdir()
    twins = [
        Stranger(f"twin-{n}", offers(f"class Mine(Halfway):\n    name = 'twin-{n}'"), "")
        for n in (1, 2)
    ]
    twin_wheels = [
        wheel(wheels, t.name, {f"{t.module}.py": t.source}, points={"twin": t.module})
        for t in twins
    ]
    rival = Stranger("very-late", offers("class Mine(Halfway):\n    name = 'twin-1'"), "")
    made.install(*[each.wheel(wheels) for each in [*STRANGERS, *INSTALLED, rival]], *twin_wheels)
    return made


def test_broken_distributions_leave_the_others_alone(crowded):
    told = crowded.plugins()
    ours = [found for found in told["components"] if found["package"] == "fpdm"]
    found = {kind: [each["name"] for each in ours if each["kind"] == kind] for kind in built_ins()}
    assert found == built_ins()
    failures = {failure["package"]: failure for failure in told["failures"]}
    for stranger in [*STRANGERS, *INSTALLED]:
        failure = failures[stranger.name]
        assert stranger.reason in failure["reason"]
        assert (failure["plugin"], failure["version"]) == (stranger.name, "1.0")
        assert failure["value"] == stranger.value
        if stranger.line:
            assert failure["file"] == str(crowded.packages / f"{stranger.module}.py")
            assert failure["line"] == stranger.number
    assert failures.keys() - {each.name for each in [*STRANGERS, *INSTALLED]} == {"very-late"}
    assert (
        "'twin-1' is already registered by plugin 'twin' of twin-1"
        in failures["very-late"]["reason"]
    )
    twins = [found for found in told["components"] if found["plugin"] == "twin"]
    assert {(each["name"], each["package"]) for each in twins} == {
        (f"twin-{n}", f"twin-{n}") for n in (1, 2)
    }


def test_the_library_works_beside_broken_distributions(crowded):
    code = """
import warnings
import fpdm
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    solver = fpdm.solver("anderson", memory=3)
for spec in ("naive", {"name": "naive"}):
    assert fpdm.plugins.resolve("solver", spec) == fpdm.solver("naive")
assert fpdm.plugins.resolve("solver", solver) is solver
print(len(told), solver.solve(lambda z: z / 2, fpdm.batch.torch.ones(1), evals=8).evals)
"""
    done = crowded.run("-c", code)
    assert done.code == 0, done.error
    assert done.output.split() == [str(len([*STRANGERS, *INSTALLED]) + 1), "8"]


@pytest.mark.parametrize("strictness", ["error", "ignore"])
def test_the_crowd_breaks_nothing_whatever_becomes_of_warnings(crowded, strictness):
    code = "import fpdm; print(fpdm.solver('naive').name, len(fpdm.plugins.host().failures))"
    done = crowded.run("-W", strictness, "-c", code)
    assert (done.code, done.error) == (0, "")
    assert done.output.split() == ["naive", str(len([*STRANGERS, *INSTALLED]) + 1)]


def test_what_is_disabled_in_a_crowd_is_neither_loaded_nor_warned_of(crowded):
    variable = ",".join(each.name for each in [*STRANGERS, *INSTALLED]) + ",twin,Very_Late"
    told = crowded.plugins(FPDM_DISABLE_PLUGINS=variable)
    assert told["failures"] == []
    crowd = {each.name for each in [*STRANGERS, *INSTALLED]} | {"very-late", "twin-1", "twin-2"}
    assert crowd.isdisjoint(found["package"] for found in told["components"])
    assert len(told["disabled"]) == len([*STRANGERS, *INSTALLED]) + 3
