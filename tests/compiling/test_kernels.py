"""What a compiled solve launches beyond its map, counted in what the compiler writes."""

import re

import pytest
import torch
from torch._inductor.utils import run_and_get_code

from fpdm.models.conditioning import Conditioning
from tests.sampling.pipelines import images, pipeline
from tests.toys import tiny

LAUNCH = re.compile(
    r"^\s*(?:\w+ = )?(?:extern_kernels\.\w+|cpp_fused\w*|torch\.ops\.\w+\.[\w.]+|aten\.\w+)\(",
    re.MULTILINE,
)
MOST = 10


def launches(run) -> int:
    """Generated kernels and library calls of what `run` compiles."""
    torch._dynamo.reset()
    _, codes = run_and_get_code(run)
    return sum(len(LAUNCH.findall(code[code.index("def call(") :])) for code in codes)


def of_timestep(evals: int) -> int:
    pipe = pipeline(tiny(pre_depth=0, post_depth=0)).compile()
    return launches(lambda: images(pipe, num_inference_steps=2, budget=2 * evals))


def of_map(evals: int) -> int:
    cond = torch.randn(3, 8)
    f = tiny().layer.block.bind(torch.randn(3, 4, 8), Conditioning(cond, cond))

    def iterate(z):
        for _ in range(evals):
            z = f(z)
        return z

    return launches(lambda: torch.compile(iterate)(torch.randn(3, 4, 8)))


@pytest.mark.filterwarnings("ignore::FutureWarning:torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_default_solver_launches_little_beyond_its_map():
    with torch.no_grad():
        evaluation = of_timestep(3) - of_timestep(2)
        block = of_map(3) - of_map(2)
    assert block > 0
    assert evaluation - block <= MOST
