"""The package of a third party in the documentation: installed, found, used, tested and removed."""

import pytest

from tests.places import DOCS
from tests.plugins.environments import Environment

EXAMPLE = DOCS / "plugins" / "fpdm-example"
USE = """
import torch
import fpdm

solver = fpdm.solver("irons-tuck", most=2.0)
solution = solver.solve(torch.cos, torch.zeros(2, 3), evals=30, tol=1e-5)
assert (solution.status == fpdm.Status.CONVERGED).all()
assert sum(fpdm.allocation("cosine").plan(budget=40, steps=7)) == 40
pipe = fpdm.FPDMPipeline.digits()
result = pipe([3], budget=20, num_inference_steps=4, solver=solver, allocation="cosine")
assert sum(step.passes for step in result.steps) == 20
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Environment.make(tmp_path_factory.mktemp("environment") / "venv")


def strangers(environment: Environment) -> dict[tuple[str, str], str]:
    """Kind and name of the components that are not ours, and their package with its version."""
    listed = environment.plugins()
    assert listed["failures"] == []
    return {
        (found["kind"], found["name"]): f"{found['package']} {found['version']}"
        for found in listed["components"]
        if found["package"] != "fpdm"
    }


def test_the_example_is_installed_found_used_tested_and_removed(environment):
    before = strangers(environment)  # what a developer has installed beside ours

    environment.install(EXAMPLE)
    assert strangers(environment) == before | {
        ("solver", "irons-tuck"): "fpdm-example 0.1.0",
        ("allocation", "cosine"): "fpdm-example 0.1.0",
    }
    table = environment.run("-m", "fpdm", "plugins")
    assert "irons-tuck" in table.output
    shown = environment.run("-m", "fpdm", "plugins", "show", "irons-tuck")
    assert "Irons and Tuck" in shown.output
    drawn = environment.run(
        *("-m", "fpdm", "sample", "--classes", "3", "--budget", "20", "--steps", "4"),
        *("--solver", "irons-tuck:most=2.0", "--allocation", "cosine", "--out", "three.png"),
    )
    assert drawn.code == 0, drawn.error
    assert (environment.folder / "three.png").is_file()
    used = environment.run("-c", USE)
    assert used.code == 0, used.error
    tested = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE))
    assert tested.code == 0, tested.output

    environment.uninstall("fpdm-example")
    assert strangers(environment) == before
