"""A network that is compiled in the usual way has its timesteps compiled."""

import pytest
import torch

from tests.compiling.programs import counted
from tests.sampling.pipelines import images, pipeline
from tests.toys import tiny

SHORT = {"name": "sjfb", "max_no_grad": 2, "max_grad": 4}
OPTIONS = {"num_inference_steps": 8, "budget": 32, "init": "reuse"}


@pytest.mark.parametrize("usual", ["torch.compile(model)", "model.compile()"])
def test_one_program_serves_a_run(usual):
    eager, counter, pipe = images(pipeline(tiny()), **OPTIONS), counted(), pipeline(tiny())
    if usual == "model.compile()":
        pipe.model.compile(backend=counter, fullgraph=True)
    else:
        pipe.model = torch.compile(pipe.model, backend=counter, fullgraph=True)
    for _ in range(2):
        torch.testing.assert_close(images(pipe, **OPTIONS), eager, atol=1e-5, rtol=1e-5)
        assert counter.frame_count == 1


def test_a_network_alone_is_one_graph():
    model, counter = tiny(), counted()
    call = {"timestep": torch.tensor(500), "class_labels": torch.tensor([0, 1]), "evals": 3}
    x = torch.randn(2, 1, 4, 4)
    with torch.no_grad():
        eager = model(x, **call)
        compiled = torch.compile(model, backend=counter, fullgraph=True)(x, **call)
    torch.testing.assert_close(compiled.sample, eager.sample, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(compiled.solution.residual, eager.solution.residual)
    assert compiled.solution.evals == 3
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    ("solver", "usual"),
    [("torchdeq-naive", "torch.compile(model)"), ("broyden", "model.compile()")],
)
def test_a_network_alone_is_compiled_with_any_solver(solver, usual):
    model = tiny(solver=solver)
    call = {"timestep": torch.tensor(500), "class_labels": torch.tensor([0, 1]), "evals": 3}
    x = torch.randn(2, 1, 4, 4)
    with torch.no_grad():
        eager = model(x, **call).sample
        compiled = torch.compile(model, backend=counted())
        if usual == "model.compile()":
            model.compile(backend=counted())
            compiled = model
        torch.testing.assert_close(compiled(x, **call).sample, eager, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # which the compiler reads
@pytest.mark.parametrize(
    ("gradient", "solver", "usual"),
    [
        *((gradient, "naive", "torch.compile(model)") for gradient in ("sjfb", "jfb", "phantom")),
        ("jfb", "naive", "model.compile()"),
        *((SHORT, solver, "torch.compile(model)") for solver in ("anderson", "broyden")),
    ],
    ids=str,
)
def test_a_network_compiled_in_training_has_the_same_gradients(gradient, solver, usual):
    model = tiny(gradient=gradient, training_solver=solver).train().double()
    x, call = torch.randn(2, 1, 4, 4).double(), {"timestep": 500}
    call["class_labels"] = torch.tensor([0, 2])

    def gradients(network):
        model.zero_grad()
        drawn = torch.Generator().manual_seed(0)
        network(x, **call, generator=drawn).sample.square().sum().backward()
        return [weight.grad for weight in model.parameters() if weight.grad is not None]

    torch._dynamo.reset()
    expected = gradients(model)
    if usual == "model.compile()":
        model.compile(backend="eager")
        compiled = gradients(model)
    else:
        compiled = gradients(torch.compile(model, backend="eager"))
    torch.testing.assert_close(compiled, expected, atol=1e-6, rtol=1e-5)
