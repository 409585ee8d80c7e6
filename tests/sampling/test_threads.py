"""One pipeline, many runs at once: each is, bit for bit, what it is alone."""

import random
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest
import torch
from diffusers import EulerDiscreteScheduler, UniPCMultistepScheduler

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.spread import set_timesteps
from tests.sampling.pipelines import pipeline, seeded
from tests.toys import tiny

WORKERS, KINDS = 8, 24
OWN = [  # that callers hand to several runs at once
    UniPCMultistepScheduler(prediction_type="v_prediction"),
    EulerDiscreteScheduler(prediction_type="v_prediction"),
]
NAMES = [None, "ddpm", "dpm++", "unipc", "euler", "euler-ancestral", *OWN]


def settings_of(number: int) -> dict:
    """The settings of a run, all that can be set at its side."""
    draw = random.Random(number)
    steps = draw.choice([2, 3, 5, 8])
    found = {
        "num_inference_steps": steps,
        "budget": steps * draw.choice([3, 4, 5]),
        "scheduler": draw.choice(NAMES),
        "guidance_scale": draw.choice([1.0, 2.5]),
        "solver": draw.choice([None, "naive", "broyden"]),
        "init": draw.choice([None, "reuse", "extrapolate"]),
        "allocation": draw.choice([None, "increasing", "adaptive"]),
        "output_type": "latent",
    }
    if draw.random() < 0.25:
        custom = {"timesteps": [999, 700, 400, 100], "eta": draw.choice([None, 0.5])}
        found |= {"num_inference_steps": None, "budget": 16, "scheduler": "ddim"} | custom
    return found


class Watcher:
    """One object for all runs: ends some of them, and draws within others."""

    def __init__(self) -> None:
        self.within: dict[int, torch.Tensor] = {}

    def of(self, number: int):
        kind = random.Random(number).choice([None, "ends", "draws", "changes"])

        def watch(pipe, index, _, tensors):
            if kind == "ends" and index == 1:
                pipe._interrupt = True
            if kind == "draws" and index == 0:
                inner = pipe(
                    [1],
                    budget=9,
                    num_inference_steps=3,
                    generator=seeded(number),
                    output_type="latent",
                    callback_on_step_end=lambda own, *_: setattr(own, "_interrupt", True),
                )
                assert len(inner.steps) == 1
                assert not pipe.interrupt
                self.within[number] = inner.images
            return {"latents": 0.9 * tensors["latents"]} if kind == "changes" else {}

        return watch if kind else None


def drawn(pipe, number: int, watcher: Watcher) -> tuple:
    labels = [random.Random(number).randrange(3) for _ in range(1 + number % 3)]
    result = pipe(
        labels,
        generator=[seeded(100 * number + i) for i in range(len(labels))],
        callback_on_step_end=watcher.of(number),
        **settings_of(number),
    )
    steps = [(step.index, float(step.timestep), step.passes) for step in result.steps]
    return result.images, steps, watcher.within.get(number)


def same(one: tuple, other: tuple) -> bool:
    within = (one[2] is None) == (other[2] is None)
    within = within and (one[2] is None or torch.equal(one[2], other[2]))
    return torch.equal(one[0], other[0]) and one[1] == other[1] and within


def at_once(function, numbers: list[int]) -> list:
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(function, numbers))


def test_runs_at_once_over_one_pipeline_equal_the_runs_alone():
    pipe, watcher = pipeline(), Watcher()
    seen = []
    pipe.model.denoiser.pre.register_forward_hook(lambda *_: seen.append(1))
    before = [(own, own.timesteps, dict(own.config)) for own in (*OWN, pipe.scheduler)]
    alone = [drawn(pipe, number, Watcher()) for number in range(KINDS)]
    calls = len(seen)
    numbers = [*range(KINDS), *range(KINDS)]
    random.Random(0).shuffle(numbers)
    found = at_once(lambda number: drawn(pipe, number, watcher), numbers)
    assert [n for n, one in zip(numbers, found, strict=True) if not same(one, alone[n])] == []
    assert len(seen) == 3 * calls
    for own, timesteps, config in before:
        assert own.timesteps is timesteps
        assert dict(own.config) == config
    assert pipe._interrupts.at_work == []


def test_so_do_runs_of_sample_over_one_network_and_one_scheduler():
    model = tiny(solver="broyden", init="reuse")
    schedulers = [Diffusion().scheduler(name) for name in ("ddim", "ddpm", "unipc", "euler")]
    for scheduler in schedulers:
        set_timesteps(scheduler, 5)

    @torch.no_grad()
    def last(number: int) -> torch.Tensor:
        scheduler = schedulers[number % 4]
        noise = torch.randn(2, 1, 4, 4, generator=seeded(number)) * scheduler.init_noise_sigma
        *_, step = fpdm.sample(
            model,
            scheduler,
            noise,
            torch.tensor([0, 1]),
            budget=20 + number % 7,
            generator=seeded(number),
        )
        return step.sample

    numbers = list(range(24))
    alone = [last(number) for number in numbers]
    assert all(map(torch.equal, at_once(last, numbers), alone))


@pytest.mark.parametrize("how", ["pipe.compile()", "model.compile()"])
def test_compiled_runs_at_once_equal_the_runs_alone(how):
    pipe, compiled = pipeline(tiny(solver="naive")), []

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    (pipe if how == "pipe.compile()" else pipe.model).compile(backend=backend)

    def images(number: int) -> torch.Tensor:
        steps = 3 + number % 3
        call = {"num_inference_steps": steps, "budget": 4 * steps, "output_type": "latent"}
        return pipe([number % 3], generator=seeded(number), **call).images

    numbers = list(range(8))
    first = at_once(images, numbers)  # all of them find nothing compiled
    assert len(compiled) == 1
    assert all(map(torch.equal, first, [images(number) for number in numbers]))


def test_a_pipeline_is_copied_with_all_that_its_runs_need():
    pipe = pipeline()
    call = {"budget": 12, "num_inference_steps": 3, "output_type": "latent"}
    own = deepcopy(pipe)([0, 1], generator=seeded(), **call).images
    assert torch.equal(own, pipe([0, 1], generator=seeded(), **call).images)


def test_the_network_stays_where_it_is_while_others_run():
    pipe, freed = pipeline(), []
    pipe.maybe_free_model_hooks = lambda: freed.append(len(pipe._interrupts.at_work))
    call = {"budget": 12, "num_inference_steps": 3, "output_type": "latent"}

    def draw_within(own, index, *_):
        if index == 0:
            own([1], generator=seeded(), **call)
            assert freed == []

    pipe([0], generator=seeded(), callback_on_step_end=draw_within, **call)
    assert freed == [0]
