"""Many images in a folder: each follows from the seed and its number, whoever draws it."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.drawing import archive, deal, draw
from fpdm.drawing.many import Task, generator_of
from fpdm.drawing.numbered import is_whole, numbered, write_images
from fpdm.errors import InvalidValueError, UnknownNameError
from tests.built_ins import built_ins
from tests.commands import run
from tests.toys import tiny

CHEAP = {"budget": 12, "num_inference_steps": 3}
CHEAPLY = ["--batch-size", "8", "--steps", "3"]
ALIKE = [*CHEAPLY, "--budget", "12", "--seed", "5"]
MANY = [*ALIKE, "-n", "37"]  # torchrun takes --num for a word of its own
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
MODULE = ["-m", "fpdm", "sample"]


def pipeline(model=None, scheduler=None, **parts) -> fpdm.FPDMPipeline:
    pipe = fpdm.FPDMPipeline(model or tiny(), scheduler or Diffusion().scheduler(), **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe, folder, num=10, **options) -> list:
    return list(draw(pipe, folder, num, **{"batch_size": 4} | CHEAP | options))


def pngs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(count: int) -> list[str]:
    return [f"{number:06d}.png" for number in range(count)]


def levels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path), int) for path in sorted(folder.glob("*.png"))])


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """How many images each call of the pipeline made, without the rehearsals of one."""
    seen = []
    original = fpdm.FPDMPipeline.__call__

    @functools.wraps(original)
    def counted(self, class_labels, **options):
        class_labels = list(class_labels)
        if "callback_on_step_end" not in options:
            seen.append(len(class_labels))
        return original(self, class_labels, **options)

    monkeypatch.setattr(fpdm.FPDMPipeline, "__call__", counted)
    return seen


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


def test_only_the_chunks_that_are_not_whole_are_drawn(tmp_path, calls):
    out, pipe = tmp_path / "out", pipeline()
    drawn(pipe, out, 18)
    reference = everything(out)
    assert calls == [4] * 5
    calls.clear()
    (out / "000001.png").unlink()  # chunk 0
    halved = out / "000009.png"  # chunk 2
    halved.write_bytes(halved.read_bytes()[:-20])
    (out / "000010.png").write_bytes(b"")
    empty = out / "000017.png"  # chunk 4
    empty.write_bytes(bytes(empty.stat().st_size))
    (out / ".writing-000009.png-abc").write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    told = drawn(pipe, out, 18)
    assert calls == [4] * 3
    assert [chunk.drawn for chunk in told] == [1, 0, 2, 0, 1]
    assert {name: data for name, data in everything(out).items() if name[0] != "."} == reference
    touched = {path.name for path, then in before.items() if path.stat().st_mtime_ns != then}
    assert touched == {"000009.png", "000010.png", "000017.png"}
    calls.clear()
    assert sum(chunk.drawn for chunk in drawn(pipe, out, 18)) == 0
    assert calls == []


def test_a_larger_number_goes_on(tmp_path, calls):
    out, pipe = tmp_path / "out", pipeline()
    drawn(pipe, out, 6)
    before = pngs(out)
    calls.clear()
    told = drawn(pipe, out, 9)
    assert [chunk.drawn for chunk in told] == [0, 2, 1]
    assert calls == [4, 4]
    assert before.items() < pngs(out).items()
    drawn(pipe, tmp_path / "at once", 9)
    assert pngs(out) == pngs(tmp_path / "at once")


def test_who_stops_listening_keeps_what_there_is(tmp_path):
    out, pipe = tmp_path / "out", pipeline()
    next(iter(draw(pipe, out, 100, batch_size=4, **CHEAP)))
    assert list(pngs(out)) == names(4)


@given(data=st.data())
def test_a_png_with_a_byte_missing_or_changed_is_not_whole(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_images([Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))], [path])
    assert is_whole(path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (
        whole[:at],
        whole[:at] + bytes(len(whole) - at),
        whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        whole + b"\0",
    ):
        path.write_bytes(damaged)
        assert not is_whole(path) or damaged == whole
    path.unlink()
    assert not is_whole(path)


OTHER = {
    "seed": {"seed": 1},
    "classes": {"classes": [0, 1]},
    "batch_size": {"batch_size": 5},
    "budget": {"budget": 15},
    "num_inference_steps": {"num_inference_steps": 2},
    "solver": {"solver": {"name": "anderson", "memory": 2}},
    "allocation": {"allocation": "increasing"},
    "init": {"init": "reuse"},
    "scheduler": {"scheduler": "ddpm"},
    "guidance_scale": {"guidance_scale": 1.5},
    "guidance_channels": {"guidance_channels": 1},
    "guidance_interval": {"guidance_interval": (0.0, 0.5)},
}


@pytest.mark.parametrize("key", OTHER)
def test_another_setting_is_refused_by_name_and_nothing_changes(tmp_path, key):
    out, pipe = tmp_path / "out", pipeline()
    drawn(pipe, out, 3)
    (out / "000001.png").unlink()
    before = everything(out)
    with pytest.raises(InvalidValueError, match=f"other settings: {key}") as refused:
        drawn(pipe, out, 3, **OTHER[key])
    named = str(refused.value).partition("settings: ")[2].partition(";")[0]
    assert [other for other in OTHER if re.search(rf"\b{other}\b", named)] == [key]
    assert "choose another folder" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert everything(out) == before


def test_every_setting_that_differs_is_named(tmp_path):
    drawn(pipeline(), tmp_path, 3)
    with pytest.raises(InvalidValueError, match=r"seed \(0 there, 1 now\), budget \(12 there, 15"):
        drawn(pipeline(), tmp_path, 3, seed=1, budget=15)


def test_another_model_is_refused(tmp_path):
    drawn(pipeline(), tmp_path, 3)
    nudged = tiny()
    with torch.no_grad():
        next(nudged.parameters()).view(-1)[0] += 1e-6
    for other in (
        pipeline(nudged),
        pipeline(tiny().double()),
        pipeline(tiny(), Diffusion().scheduler("dpm++")),
        pipeline(tiny(pre_depth=2)),
    ):
        with pytest.raises(InvalidValueError, match=r"other settings: .*model"):
            drawn(other, tmp_path, 3)
    drawn(pipeline(), tmp_path, 4)


def test_the_same_model_elsewhere_is_the_same(tmp_path):
    pipe = pipeline()
    pipe.save_pretrained(tmp_path / "here")
    pipe.save_pretrained(tmp_path / "there")
    for model in ("here", "there"):
        loaded = fpdm.FPDMPipeline.from_pretrained(tmp_path / model)
        loaded.set_progress_bar_config(disable=True)
        drawn(loaded, tmp_path / "out", 3)
    drawn(pipe, tmp_path / "out", 4)
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["model"] == str(
        tmp_path / "here"
    )


def test_another_version_is_refused(tmp_path):
    drawn(pipeline(), tmp_path, 3)
    record = tmp_path / "samples.json"
    record.write_text(record.read_text().replace(f'"{torch.__version__}"', '"1.0"'))
    with pytest.raises(InvalidValueError, match=r"versions \(torch 1.0 there, 2"):
        drawn(pipeline(), tmp_path, 3)


def test_the_record_says_all_that_images_depend_on(tmp_path):
    drawn(pipeline(), tmp_path, 3, solver="anderson", seed=4)
    record = json.loads((tmp_path / "samples.json").read_text())
    assert set(OTHER) | {"model", "model_sha256", "versions"} == set(record)
    assert record["seed"] == 4
    assert record["classes"] == [0, 1, 2]
    assert record["solver"] == {**fpdm.plugins.describe(fpdm.solver("anderson"))}
    assert record["init"] is None
    assert record["versions"]["fpdm"] == fpdm.__version__


def test_a_setting_given_as_name_mapping_or_object_is_the_same(tmp_path):
    pipe = pipeline()
    for solver in ("anderson", {"name": "anderson"}, fpdm.solver("anderson")):
        drawn(pipe, tmp_path, 3, solver=solver, guidance_interval=[0, 1], guidance_scale=1)


@pytest.mark.parametrize("damage", ["", "[1, 2", "[1, 2]", "\0"])
def test_a_damaged_record_is_refused(tmp_path, damage):
    drawn(pipeline(), tmp_path, 3)
    (tmp_path / "samples.json").write_text(damage)
    before = everything(tmp_path)
    with pytest.raises(InvalidValueError, match=r"samples.json cannot be read"):
        drawn(pipeline(), tmp_path, 3)
    assert everything(tmp_path) == before


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "000000.png").write_bytes(b"precious")
    before = everything(tmp_path)
    with pytest.raises(InvalidValueError, match=r"holds 000000.png, and no samples.json"):
        drawn(pipeline(), tmp_path, 3)
    assert everything(tmp_path) == before
    with pytest.raises(InvalidValueError, match="is a file"):
        drawn(pipeline(), tmp_path / "000000.png", 3)


def test_other_things_beside_our_images_stay(tmp_path):
    (tmp_path / ".writing-samples.json-x").write_text("half")  # of a killed run
    drawn(pipeline(), tmp_path, 3)
    (tmp_path / "notes.txt").write_text("keep")
    drawn(pipeline(), tmp_path, 6)
    assert (tmp_path / "notes.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": 0}, "num=0: must be a whole number ≥ 1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"world": 0}, "world=0"),
        ({"world": 2, "rank": 2}, "rank=2: must be a whole number ≥ 0 and ≤ 1"),
        ({"classes": [7]}, "out of range"),
        ({"budget": 3}, "cannot pay"),
        ({"guidance_scale": 1.5, "guidance_channels": 9}, "guidance_channels=9"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(tmp_path, options, message):
    options = {"num": 3} | options
    with pytest.raises(InvalidValueError, match=message):
        draw(pipeline(), tmp_path / "out", **CHEAP | options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["latents", "generator", "output_type", "budgets"])
def test_an_unknown_setting_is_refused(tmp_path, name):
    with pytest.raises(UnknownNameError, match=f"{name!r}.*guidance_scale"):
        draw(pipeline(), tmp_path / "out", 3, **{name: None})
    assert list(tmp_path.iterdir()) == []


def test_latents_that_no_vae_decodes_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InvalidValueError, match="no vae to decode"):
        draw(pipeline(tiny(in_channels=4)), tmp_path / "out", 3, **CHEAP)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_the_archive_holds_the_first_images_in_order(tmp_path, channels):
    out = tmp_path / "run.v2"
    drawn(pipeline(tiny(in_channels=channels)), out, 11)
    path = archive(out, 9)
    assert path == tmp_path / "run.v2.npz"
    with np.load(path, allow_pickle=False) as loaded:
        assert loaded.files == ["arr_0"]
        images = loaded["arr_0"]
    assert images.shape == (9, 4, 4, 3)
    assert images.dtype == np.uint8
    for image, name in zip(images, names(9), strict=True):
        assert np.array_equal(image, np.asarray(Image.open(out / name).convert("RGB")))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["run.v2.npz"]


def test_the_archive_does_not_say_when_it_was_made(tmp_path):
    drawn(pipeline(), tmp_path / "out", 3)
    first = archive(tmp_path / "out", 3).read_bytes()
    assert archive(tmp_path / "out", 3).read_bytes() == first
    with zipfile.ZipFile(tmp_path / "out.npz") as file:
        assert [held.date_time for held in file.infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_the_archive_never_holds_all_images_in_memory(tmp_path):
    (tmp_path / "out").mkdir()
    paths = [numbered(tmp_path / "out", number) for number in range(300)]
    write_images([Image.new("RGB", (64, 64))] * 300, paths)
    tracemalloc.start()
    path = archive(tmp_path / "out", 300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 300 * 64 * 64 * 3
    assert peak < 40 * 64 * 64 * 3


@pytest.mark.parametrize("damage", ["missing", "torn", "another size"])
def test_an_archive_of_images_that_are_not_all_there_is_refused(tmp_path, damage):
    out = tmp_path / "out"
    drawn(pipeline(), out, 3)
    path = out / "000001.png"
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:50])
    else:
        write_images([Image.new("L", (5, 5))], [path])
    with pytest.raises(InvalidValueError, match=r"000001.png") as refused:
        archive(out, 3)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_draws_then_goes_on_then_only_archives(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["sample", *ALIKE, "--classes", "3", "1", "--out", out, "--num"]
    code, printed, progress = run(capsys, *command, 10)
    assert code == 0
    assert printed.split("─")[-1].split()[:3] == ["10", "0", "12"]
    assert f"{out} holds 10 images." in printed
    assert "10/10" in progress
    assert "image" in progress
    assert "3/3" not in progress  # timesteps
    code, printed, progress = run(capsys, *command, 12)
    assert printed.split("─")[-1].split()[:3] == ["2", "10", "12"]
    assert "12/12" in progress
    code, printed, _ = run(capsys, *command, 12, "--npz")
    assert code == 0
    assert printed.split("─")[-1].split()[:4] == ["0", "12", "–", "–"]
    assert f"{out}.npz" in printed
    assert np.load(f"{out}.npz")["arr_0"].shape == (12, 8, 8, 3)


def test_without_a_number_each_class_is_drawn_once(tmp_path, capsys):
    out = tmp_path / "out"
    assert run(capsys, "sample", "--budget", 12, "--steps", 3, "--out", out)[0] == 0
    assert list(pngs(out)) == names(10)


def test_an_interrupted_command_exits_130_and_keeps_its_images(tmp_path, capsys, monkeypatch):
    out, original = tmp_path / "out", Task.draw

    def interrupted(task, numbers, **options):
        if 16 in numbers:
            raise KeyboardInterrupt
        return original(task, numbers, **options)

    monkeypatch.setattr(Task, "draw", interrupted)
    code, _, error = run(capsys, "sample", *MANY, "--out", out)
    assert code == 130
    assert "interrupted" in error
    assert "goes on" in error
    assert list(pngs(out)) == names(16)
    monkeypatch.undo()
    assert run(capsys, "sample", *MANY, "--out", out)[0] == 0
    assert list(pngs(out)) == names(37)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["--out", "out", "--budget", "30", "--steps", "20"], "= 60 block passes"),
        (["--out", "out", "--classes", "12"], "[12] out of range"),
        (["--out", "out", "--num", "0"], "num=0: must be a whole number ≥ 1"),
        (["--out", "out", "--batch-size", "0"], "batch_size=0: must be a whole number ≥ 1"),
        (["--out", "picture.jpg"], "must end in .png"),
        (["--out", "samples.npz"], "must end in .png"),
        (["--npz"], "--npz is for a folder of images: give --out a folder."),
        (["--out", "x.png", "--batch-size", "3"], "--batch-size is for a folder of images"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    command, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    code, _, error = run(capsys, "sample", *command)
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_other_settings_are_one_sentence_and_nothing_is_overwritten(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["sample", *CHEAPLY, "--num", 3, "--out", out]
    run(capsys, *command, "--budget", 12, "--seed", 5)
    before = everything(out)
    code, _, error = run(capsys, *command, "--budget", 24, "--seed", 6)
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    assert "seed (5 there, 6 now), budget (12 there, 24 now)" in error
    assert everything(out) == before


def test_one_picture_is_refused_by_several_processes(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    code, _, error = run(capsys, "sample", "--out", tmp_path / "x.png")
    assert code == 2
    assert "one picture is drawn by one process, and 3 are running" in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_has_only_checkpoints_names_the_newest(tmp_path, capsys):
    pipe = pipeline()
    for name in ("0000900", "0002000", "best", "0003000"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        if name != "0003000":
            pipe.save_pretrained(tmp_path / "checkpoints" / name)
    newest = tmp_path / "checkpoints" / "0002000"
    code, _, error = run(capsys, "sample", "--model", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert f"{tmp_path} holds no complete model; its newest checkpoint is {newest}." in error
    assert len(error.strip().splitlines()) == 1
    command = ["sample", "--model", newest, "--budget", 12, "--num", 2, "--out", tmp_path / "out"]
    assert run(capsys, *command)[0] == 0


def test_help_shows_how_many_images_are_drawn(capsys):
    code, printed, _ = run(capsys, "sample", "--help")
    assert code == 0
    examples = printed.partition("Examples")[2]
    assert "fpdm sample --num 50000 --out " in examples
    assert "torchrun" in examples
    for option in ("--num", "--batch-size", "--npz", "--out"):
        assert option in printed
