"""Many images in a folder: each follows from the seed and its number, whoever draws it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fpdm
from fpdm.drawing import deal, draw
from fpdm.drawing.many import generator_of
from fpdm.drawing.numbered import is_whole, numbered, write_images
from tests.built_ins import built_ins
from tests.commands import run
from tests.drawing.folders import (
    ALIKE,
    CHEAP,
    ENVIRONMENT,
    MANY,
    MODULE,
    drawn,
    everything,
    levels,
    names,
    pngs,
)
from tests.sampling.pipelines import pipeline
from tests.toys import tiny


@pytest.fixture(scope="module")
def by_processes(tmp_path_factory) -> dict[int, Path]:
    """37 digits and their archive, drawn by 1, 2 and 3 processes."""
    root = tmp_path_factory.mktemp("processes")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    running = {}
    for count in (1, 2, 3):
        launch = [] if count == 1 else [*launcher, str(count)]
        command = [*launch, *MODULE, *MANY, "--npz", "--out", str(root / str(count))]
        running[count] = subprocess.Popen(
            [sys.executable, *command],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    said = {count: process.communicate() for count, process in running.items()}
    for count, (printed, errors) in said.items():
        assert running[count].returncode == 0, errors
        assert printed.count(f"{root / str(count)} holds 37 images.") == 1  # process 0 alone speaks
        assert errors.count(" 0%|") == 1
    return {count: root / str(count) for count in running}


@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_processes_draws_the_same_bytes(by_processes, count):
    assert list(pngs(by_processes[1])) == names(37)
    assert everything(by_processes[count]) == everything(by_processes[1])
    archives = [Path(f"{by_processes[k]}.npz").read_bytes() for k in (1, count)]
    assert archives[0] == archives[1]


def test_nothing_half_written_stays(by_processes):
    for folder in by_processes.values():
        assert {path.name for path in folder.iterdir()} == {*names(37), "samples.json"}


def test_a_killed_run_leaves_whole_images_and_goes_on(by_processes, tmp_path, capsys):
    out = tmp_path / "out"
    endless = [*ALIKE, "--num", "100000", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, *MODULE, *endless], env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (out / "000009.png").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left, reference = pngs(out), pngs(by_processes[1])
    assert len(left) >= 9
    assert all(is_whole(out / name) for name in left)
    assert run(capsys, "sample", *MANY, "--out", out)[0] == 0
    assert {name: pngs(out)[name] for name in names(37)} == reference
    assert not list(out.glob(".writing-*"))


@pytest.mark.parametrize("batch_size", [1, 7, 37])
def test_batch_sizes_agree_within_a_grey_level(by_processes, tmp_path, batch_size):
    pipe = fpdm.FPDMPipeline.digits()
    pipe.set_progress_bar_config(disable=True)
    list(draw(pipe, tmp_path / "out", 37, seed=5, batch_size=batch_size, **CHEAP))
    assert abs(levels(tmp_path / "out") - levels(by_processes[1])).max() <= 1


@given(
    num=st.integers(1, 300),
    batch_size=st.integers(1, 70),
    world=st.integers(1, 9),
)
def test_every_image_is_dealt_once_in_chunks_that_depend_on_the_batch_size_alone(
    num, batch_size, world
):
    dealt = [list(deal(num, batch_size=batch_size, rank=r, world=world)) for r in range(world)]
    assert sorted(i for chunks in dealt for chunk in chunks for i in chunk) == list(range(num))
    for rank, chunks in enumerate(dealt):
        for chunk in chunks:
            number, rest = divmod(chunk.start, batch_size)
            assert rest == 0
            assert number % world == rank
            assert chunk.stop == min(chunk.start + batch_size, num)
    counts = [len(chunks) for chunks in dealt]
    assert max(counts) - min(counts) <= 1


@given(seed=st.integers(0, 2**63 - 1), other=st.integers(0, 2**63 - 1))
def test_noise_is_never_that_of_another_image(seed, other):
    numbers = [0, 1, 2, 3, 63, 64, 2**16, 2**20, 2**31]

    def noise(seed: int) -> list[tuple[float, ...]]:
        return [tuple(torch.randn(4, generator=generator_of(seed, i)).tolist()) for i in numbers]

    assert noise(seed) == noise(seed)
    together = noise(seed) if seed == other else noise(seed) + noise(other)
    assert len(set(together)) == len(together)


def test_noise_of_neighbours_is_independent_and_standard_normal():
    numbers, size = 4000, 64
    noise = torch.stack([torch.randn(size, generator=generator_of(3, i)) for i in range(numbers)])
    spread = (numbers * size) ** -0.5
    assert abs(noise.mean()) < 4 * spread
    assert abs(noise.var() - 1) < 4 * 2**0.5 * spread
    assert abs((noise[1:] * noise[:-1]).mean()) < 4 * spread


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path):
    pipe = pipeline()
    drawn(pipe, tmp_path / "few", 5)
    drawn(pipe, tmp_path / "many", 11)
    assert list(pngs(tmp_path / "few")) == names(5)
    assert list(pngs(tmp_path / "many")) == names(11)
    assert pngs(tmp_path / "few").items() < pngs(tmp_path / "many").items()


@settings(max_examples=8)
@given(world=st.integers(1, 5), init=st.sampled_from(built_ins()["init"]), ddpm=st.booleans())
def test_an_image_does_not_depend_on_who_draws_it(tmp_path_factory, world, init, ddpm):
    root, pipe = tmp_path_factory.mktemp("worlds"), pipeline()
    options = {"init": init, "scheduler": "ddpm" if ddpm else None, "allocation": "adaptive"}
    drawn(pipe, root / "one", **options)
    for rank in reversed(range(world)):
        drawn(pipe, root / "several", rank=rank, world=world, **options)
    assert everything(root / "one") == everything(root / "several")


def test_it_is_the_image_that_the_pipeline_draws_with_its_generators(tmp_path):
    pipe = pipeline()
    drawn(pipe, tmp_path / "out", 6, seed=9, classes=[2, 0, 1], guidance_scale=1.5)
    expected = pipe(
        [0, 1, 2, 0],  # images 4 to 7
        generator=[generator_of(9, i) for i in range(4, 8)],
        guidance_scale=1.5,
        **CHEAP,
    ).images
    write_images([expected[1]], [tmp_path / "expected.png"])
    assert (tmp_path / "expected.png").read_bytes() == pngs(tmp_path / "out")["000005.png"]


def test_classes_are_drawn_in_turn_by_number_or_name(tmp_path):
    pipe = pipeline(id2label={0: "cat", 1: "dog", 2: "bird"})
    drawn(pipe, tmp_path / "all")
    drawn(pipe, tmp_path / "numbers", classes=[0, 1, 2])
    drawn(pipe, tmp_path / "names", classes=["cat", "dog", "bird"])
    drawn(pipe, tmp_path / "others", classes=[0, 2, 1])
    assert pngs(tmp_path / "all") == pngs(tmp_path / "numbers") == pngs(tmp_path / "names")
    assert pngs(tmp_path / "all") != pngs(tmp_path / "others")


def test_a_network_without_classes_draws_too(tmp_path):
    drawn(pipeline(tiny(num_classes=0)), tmp_path / "out", 3)
    assert list(pngs(tmp_path / "out")) == names(3)


def test_numbers_have_six_digits_or_more():
    assert numbered(Path("a"), 7) == Path("a/000007.png")
    assert numbered(Path("a"), 1234567) == Path("a/1234567.png")


def test_what_is_drawn_is_told_chunk_by_chunk(tmp_path):
    pipe = pipeline()
    first = drawn(pipe, tmp_path / "out", 10, rank=1, world=2)
    assert [(chunk.numbers, chunk.drawn, chunk.passes) for chunk in first] == [(range(4, 8), 4, 12)]
    every = drawn(pipe, tmp_path / "out", 10)
    assert [(chunk.numbers, chunk.drawn) for chunk in every] == [
        (range(0, 4), 4),
        (range(4, 8), 0),
        (range(8, 10), 2),
    ]
    assert every[1].passes is None
