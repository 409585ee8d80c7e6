"""Every hook, as the plugin of a stranger uses it."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint

import pytest
import torch

import fpdm
from fpdm import plugins
from fpdm.errors import InvalidValueError, PluginWarning
from fpdm.plugins import Origin, PluginHost
from tests.built_ins import built_ins, own_entry_points
from tests.plugins.hosts import names, plugin

BUILT_INS = built_ins()


def stranger_registers(tmp_path, monkeypatch, module: str, source: str) -> PluginHost:
    """A host with the plugin of a stranger, a module that an entry point names."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
    return PluginHost([EntryPoint("stranger", module, "fpdm"), *own_entry_points()])


def test_fpdm_register_solvers(tmp_path, monkeypatch):
    source = """
from fpdm import hookimpl
from fpdm.iteration import IterativeSolver

class Mine(IterativeSolver):
    name = "mine"

    def start(self, z0):
        return None

    def advance(self, z, image, state):
        return image, state

@hookimpl
def fpdm_register_solvers():
    return [Mine]
"""
    loaded = stranger_registers(tmp_path, monkeypatch, "stranger_solver", source)
    assert names(loaded, "solver") == [*built_ins()["solver"], "mine"]
    found = loaded.create("solver", "mine").solve(torch.cos, torch.zeros(2), evals=50)
    assert found.value.tolist() == pytest.approx([0.739085] * 2, abs=1e-5)


def test_fpdm_register_allocations(tmp_path, monkeypatch):
    source = """
from fpdm import hookimpl
from fpdm.allocator import WeightedAllocation

class Mine(WeightedAllocation):
    name = "mine"

    def weights(self, steps):
        return [0] * (steps - 1) + [1]

@hookimpl
def fpdm_register_allocations():
    return [Mine]
"""
    loaded = stranger_registers(tmp_path, monkeypatch, "stranger_allocation", source)
    assert names(loaded, "allocation") == [*built_ins()["allocation"], "mine"]
    assert loaded.create("allocation", "mine").plan(budget=9, steps=3) == (1, 1, 7)


def test_fpdm_register_inits(tmp_path, monkeypatch):
    source = """
from fpdm import InitStrategy, hookimpl

class Mine(InitStrategy):
    name = "mine"

    def initial(self, features, history, moment):
        return features * 0

@hookimpl
def fpdm_register_inits():
    return [Mine]
"""
    loaded = stranger_registers(tmp_path, monkeypatch, "stranger_init", source)
    assert names(loaded, "init") == [*built_ins()["init"], "mine"]
    assert loaded.create("init", "mine").initial(torch.ones(2, 3), [], fpdm.Moment()).sum() == 0


def test_fpdm_register_gradients(tmp_path, monkeypatch):
    source = """
from fpdm import GradientEstimator, hookimpl

class Mine(GradientEstimator):
    name = "mine"

    def solve(self, f, z0, solver, generator=None):
        return solver.solve(f, z0, evals=3)

@hookimpl
def fpdm_register_gradients():
    return [Mine]
"""
    loaded = stranger_registers(tmp_path, monkeypatch, "stranger_gradient", source)
    assert names(loaded, "gradient") == [*built_ins()["gradient"], "mine"]
    start = torch.ones(1, requires_grad=True)
    found = loaded.create("gradient", "mine").solve(torch.cos, start, fpdm.solver("naive"))
    assert found.value.requires_grad


def test_fpdm_register_networks(tmp_path, monkeypatch):
    source = """
import torch
from fpdm import Denoised, hookimpl

class Mine(torch.nn.Module):
    name = "mine"
    pre_passes, post_passes, null_class = 1, 0, None

    def __init__(self, *, in_channels=1, gain=2.0):
        super().__init__()
        self.gain = gain

    def forward(self, x, timestep, class_labels):
        return Denoised(self.gain * x)

@hookimpl
def fpdm_register_networks():
    return [Mine]
"""
    loaded = stranger_registers(tmp_path, monkeypatch, "stranger_network", source)
    assert names(loaded, "network") == [*BUILT_INS["network"], "mine"]
    x = torch.ones(2, 1, 4, 4)
    made = loaded.create("network", "mine", in_channels=1, gain=3.0)
    assert torch.equal(made(x, timestep=0, class_labels=torch.zeros(2)).sample, 3 * x)


def test_fpdm_register_datasets(tmp_path, monkeypatch):
    source = """
import torch
from fpdm import hookimpl
from fpdm.data import Batch, Dataset, Shape

class Mine(Dataset):
    name = "mine"
    shape = Shape(channels=1, size=2, num_classes=3)

    def __init__(self, root):
        self.root = root

    def __len__(self):
        return 5

    def batch(self, indices, seeds):
        return Batch(torch.zeros(len(indices), 1, 2, 2), indices % 3)

@hookimpl
def fpdm_register_datasets():
    return [Mine]
"""
    loaded = stranger_registers(tmp_path, monkeypatch, "stranger_dataset", source)
    assert names(loaded, "dataset") == [*BUILT_INS["dataset"], "mine"]
    assert len(loaded.create("dataset", "mine", root="somewhere")) == 5
    with pytest.raises(InvalidValueError, match=r"The dataset 'mine'.*root"):
        loaded.create("dataset", "mine")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("class Mine:\n    name = 'mine'", "must be subclasses of Module"),
        (
            "class Mine(torch.nn.Module):\n    name = 'mine'\n    pre_passes = 1",
            "Mine has no post_passes, null_class: make each a property, as fpdm.Network says",
        ),
        (
            "class Mine(torch.nn.Module):\n    name = 'mine'\n    pre_passes = post_passes = 1\n"
            "    null_class: int\n    def __init__(self, *, sample_size, width): pass",
            "Mine must be given width: give every option a default",
        ),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_network_that_cannot_be_one_is_refused_when_networks_are_looked_up(
    tmp_path, monkeypatch, source, reason
):
    hook = f"def fpdm_register_networks():\n{textwrap.indent(source, '    ')}\n    return [Mine]"
    module = f"import torch, fpdm\nfrom fpdm import hookimpl\n\n@hookimpl\n{hook}\n"
    (tmp_path / "unfit_network.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "unfit_network", raising=False)
    point = EntryPoint("unfit", "unfit_network", "fpdm")
    loaded = PluginHost([*own_entry_points(), point])
    assert loaded.create("solver", "naive").name == "naive"
    with pytest.warns(PluginWarning, match="Plugin 'unfit' failed"):
        assert names(loaded, "network") == BUILT_INS["network"]
    assert reason in str(loaded.failures[0])


def test_networks_are_asked_for_when_one_is_looked_up():
    code = """
import sys, fpdm
fpdm.solver("naive"), fpdm.plugins.host().components("init")
assert "diffusers" not in sys.modules and "fpdm.models" not in sys.modules
fpdm.plugins.host().components("dataset")
assert "diffusers" not in sys.modules and "sklearn" not in sys.modules
print([found.name for found in fpdm.plugins.host().components("network")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'fpdit'" in done.stdout


def test_ours_take_their_names_before_what_is_registered_by_hand():
    class Mine(torch.nn.Module):
        name = "fpdit"
        pre_passes, post_passes, null_class = 1, 0, None

    loaded = PluginHost(own_entry_points())
    with pytest.warns(PluginWarning, match="'fpdit' is already registered by plugin 'networks'"):
        loaded.register(plugin(fpdm_register_networks=lambda: [Mine]), Origin("mine"))
    assert names(loaded, "network") == BUILT_INS["network"]


def test_threads_that_look_networks_up_together_find_them_all():
    loaded = PluginHost(own_entry_points())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: names(loaded, "network"), range(16)))
    assert found == [BUILT_INS["network"]] * 16


def test_every_hook_has_a_test_of_its_own():
    hooks = {name for name in vars(fpdm.hookspecs) if name.startswith("fpdm_register")}
    assert hooks == {kind.hook for kind in plugins.KINDS.values()}
    assert hooks == {
        name.removeprefix("test_") for name in globals() if name.startswith("test_fpdm")
    }
