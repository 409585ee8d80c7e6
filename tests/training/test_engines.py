"""A training is the same however it is cut and shared, and compiles once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fpdm.training import Training
from fpdm.training.config import EngineConfig
from fpdm.training.tracking import LOG, read_log
from tests.training.runs import WEIGHTS, config, finish

SHARED = Path(__file__).parent / "shared.py"


def test_parts_of_a_batch_add_up_to_the_batch():
    whole, parts = (
        Training(config(engine=EngineConfig(gradient_accumulation=count), steps=1))
        for count in (1, 4)
    )
    norms = [next(iter(training)).gradient_norm for training in (whole, parts)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.parametrize("engine", [{"precision": "bf16"}, {"gradient_checkpointing": True}])
def test_engines_train(engine, tmp_path):
    finish(tmp_path, config(engine=EngineConfig(**engine), steps=2))
    assert all(value.dtype == torch.float32 for value in load_file(tmp_path / WEIGHTS).values())


@pytest.mark.parametrize(
    ("network", "weight"),
    [("fpdit", 0.0), ("fpdit", 0.5), ("mlp", 0.0), ("fpunet", 0.0), ("round", 0.0)],
)
def test_two_processes_have_the_gradients_of_one(network, weight, tmp_path):
    found = {}
    ways = {"one": (1, "none"), "ddp": (2, "none"), "fsdp": (2, "fsdp")}
    if weight:  # which spread weights are refused with
        del ways["fsdp"]
    for name, (processes, sharding) in ways.items():
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [sys.executable, *(launcher if processes > 1 else []), str(SHARED)]
        file = tmp_path / f"{name}.safetensors"
        subprocess.run(
            [*command, str(file), sharding, network, str(weight)],
            check=True,
            capture_output=True,
            timeout=120,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        found[name] = load_file(file)
    for key, one in found["one"].items():
        assert one.norm() > 0, key
        for together in found.keys() - {"one"}:
            assert (found[together][key] - one).norm() <= 1e-6 * one.norm(), (together, key)


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_processes_train_like_one(sharding, tmp_path):
    settings = ["--set", "steps=200", "--set", "batch_size=8", "--set", "model.hidden_size=8"]
    settings += ["--set", "model.num_heads=2", "--set", "model.patch_size=4"]
    settings += ["--set", "tracking.samples_every=0", "--set", "tracking.every=1"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    logs = []
    for name, launch, more in (
        ("one", [], []),
        ("two", launcher, ["--set", f"engine.sharding={sharding}"]),
    ):
        command = [sys.executable, *launch, "-m", "fpdm", "train", "digits", *settings, *more]
        subprocess.run(
            [*command, "--out", str(tmp_path / name)],
            check=True,
            capture_output=True,
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        logs.append(read_log(tmp_path / name / LOG))
    assert [len(log) for log in logs] == [200, 200]
    for one, two in zip(*logs, strict=True):
        counts = ("no_grad_evals", "grad_evals", "learning_rate")
        assert [one[key] for key in counts] == [two[key] for key in counts]
    assert logs[0][0]["gradient_norm"] == pytest.approx(logs[1][0]["gradient_norm"], rel=1e-6)
    assert logs[0][0]["loss"] == pytest.approx(logs[1][0]["loss"], rel=1e-6)
    assert logs[0][-1]["loss"] == pytest.approx(logs[1][-1]["loss"], rel=1e-3)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_counts_drawn_at_random_compile_nothing_anew(monkeypatch):
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module: compile_module(module, backend=counter)
    )
    steps = iter(Training(config(engine=EngineConfig(compile=True), steps=30)))
    counts = {(next(steps).no_grad_evals, next(steps).grad_evals) for _ in range(4)}
    compiled = counter.frame_count
    assert compiled > 0
    counts |= {(step.no_grad_evals, step.grad_evals) for step in steps}
    assert len(counts) > 10
    assert counter.frame_count == compiled


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("network", ["mlp", "fpunet"])
def test_a_network_that_names_no_blocks_is_compiled_all_the_same(network, monkeypatch):
    from torch._dynamo.testing import CompileCounter

    counter, plain = CompileCounter(), torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, **options: plain(f, **options | {"backend": counter})
    )
    model = {"network": network, "width": 8}
    eager = Training(config(model=model, steps=20))
    losses = [step.loss for step in eager]
    assert counter.frame_count == 0
    steps = iter(Training(config(model=model, steps=20, engine=EngineConfig(compile=True))))
    first = [next(steps) for _ in range(4)]
    compiled, counts = (
        counter.frame_count,
        {(step.no_grad_evals, step.grad_evals) for step in first},
    )
    assert compiled >= 4  # before, after, and an iteration with and without gradient
    rest = list(steps)
    assert len(counts | {(step.no_grad_evals, step.grad_evals) for step in rest}) > 10
    assert counter.frame_count == compiled
    assert [step.loss for step in first + rest] == pytest.approx(losses, rel=1e-4)
