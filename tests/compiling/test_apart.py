"""A plugin that cannot be traced runs as it is, and all else is compiled."""

import pytest
import torch
from torch import nn

import fpdm
from fpdm.interfaces import FixedPointSolver, InitStrategy
from tests.compiling.programs import counted, pair, told
from tests.sampling.pipelines import images, pipeline
from tests.toys import tiny


class Opaque(FixedPointSolver):
    """Looks at its values."""

    name = "opaque"

    def solve(self, f, x0, *, evals, **_):
        for _ in range(evals):
            x0 = f(x0)
            assert float(x0.sum().item()) == float(x0.sum())
            torch._dynamo.graph_break()
        return fpdm.solver("naive").solve(lambda z: z, x0, evals=0)


class Looking(InitStrategy):
    """Looks at the moment before."""

    name = "looking"
    lookback = 1

    def initial(self, features, history, moment):
        if moment.previous is None or not history:
            return features
        return history[-1].solution.value * (moment.previous.timestep / 1000)


class Breaking(InitStrategy):
    name = "breaking"

    def initial(self, features, history, moment):
        del history, moment
        torch._dynamo.graph_break()
        return features * 2


def sentence(kind: str, name: str) -> str:
    return (
        f"The {kind} {name!r} cannot be traced by the compiler: it runs as it is, and what is "
        f"around it is compiled."
    )


@pytest.mark.parametrize("name", ["torchdeq-naive", "torchdeq-anderson", "torchdeq-broyden"])
def test_the_solvers_of_torchdeq_run_as_they_are(name):
    counter = counted()
    options = {"solver": name, "init": "reuse"}
    eager, pipe = pair(counter, **options)
    with told() as said:
        compiled = images(pipe, **options)
    assert said == [sentence("solver", name)]
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    frames = counter.frame_count
    assert frames > 1
    assert torch.equal(images(pipe, **options), compiled)
    assert counter.frame_count == frames


@pytest.mark.parametrize("cls", [Looking, Breaking])
def test_an_init_runs_as_it_is(cls):
    counter = counted()
    options = {"init": cls(), "solver": "naive"}
    eager, pipe = pair(counter, **options)
    with told() as said:
        compiled = images(pipe, **options)
    assert said == [sentence("init", cls.name)]
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    frames = counter.frame_count
    images(pipe, **options)
    assert counter.frame_count == frames


def test_a_solver_of_a_stranger_runs_as_it_is_and_its_map_is_compiled():
    counter = counted()
    eager, pipe = pair(counter, solver=Opaque())
    with told() as said:
        compiled = images(pipe, solver=Opaque())
    assert said == [sentence("solver", "opaque")]
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)


def test_one_warning_says_so_for_all_numbers_of_iterations():
    options = {"allocation": "increasing", "budget": 24, "solver": "torchdeq-naive"}
    _, pipe = pair(counted(), **options)
    with told() as said:
        images(pipe, **options)
    assert pipe.compiled.count > 1
    assert len(said) == 1


class Raising(FixedPointSolver):
    name = "raising"

    def solve(self, f, x0, *, evals, **_):
        if evals:
            raise ZeroDivisionError("by design")
        return fpdm.solver("naive").solve(f, x0, evals=0)


def test_what_a_plugin_raises_is_told_with_its_name():
    pipe = pipeline(tiny()).compile(backend="eager")
    with (
        told(),
        pytest.raises(fpdm.FPDMError, match="The solver Raising failed: ZeroDivisionError"),
    ):
        images(pipe, solver=Raising())


class Breaks(nn.Module):
    def __init__(self, patches):
        super().__init__()
        self.patches = patches

    def forward(self, x):
        torch._dynamo.graph_break()
        return self.patches(x)


def test_a_network_is_compiled_as_far_as_it_can_be():
    model, counter = tiny(solver="naive"), counted()
    model.denoiser.pre.patches = Breaks(model.denoiser.pre.patches)
    eager, pipe = pair(counter, model)
    with told() as said:
        compiled = images(pipe)
    assert said == [sentence("network", "fpdit")]
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    assert counter.frame_count > 1
