"""Plugins: found by name, refused with a reason, and never able to take one another down."""

import importlib.metadata
import warnings
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import ClassVar

import attrs
import pytest
import torch

import fpdm
from fpdm import plugins
from fpdm.errors import FPDMError, InvalidValueError, PluginError, PluginWarning, UnknownNameError
from fpdm.iteration import IterativeSolver
from fpdm.plugins import Origin, PluginHost, describe, host, resolve

BUILT_INS = {
    "solver": [
        "naive",
        "anderson",
        "broyden",
        "torchdeq-naive",
        "torchdeq-anderson",
        "torchdeq-broyden",
    ],
    "allocation": ["constant", "increasing", "decreasing", "adaptive"],
    "init": ["features", "reuse", "extrapolate"],
    "gradient": ["sjfb", "jfb", "unrolled", "implicit", "phantom"],
}


@attrs.frozen
class Halfway(IterativeSolver):
    name: ClassVar[str] = "halfway"

    def start(self, z0):
        del z0

    def advance(self, z, image, state):
        return (z + image) / 2, state


def plugin(**hooks) -> SimpleNamespace:
    return SimpleNamespace(**{name: fpdm.hookimpl(hook) for name, hook in hooks.items()})


def own_entry_points() -> list[EntryPoint]:
    return list(importlib.metadata.entry_points(group="fpdm"))


@pytest.mark.parametrize("kind", BUILT_INS)
def test_the_built_ins_are_installed_with_package_and_version(kind):
    found = [
        component for component in host().components(kind) if component.origin.package == "fpdm"
    ]
    assert [component.name for component in found] == BUILT_INS[kind]
    assert {component.origin.version for component in found} == {fpdm.__version__}
    assert host().failures == []


@pytest.mark.parametrize("gone", ["solvers", "allocations", "inits", "gradients"])
def test_without_its_entry_point_exactly_that_plugin_is_gone(gone):
    kind = gone.removesuffix("s")
    left = PluginHost([point for point in own_entry_points() if point.name != gone])
    assert left.components(kind) == []
    assert left.failures == []
    for other in BUILT_INS.keys() - {kind}:
        assert [found.name for found in left.components(other)] == BUILT_INS[other]
    with pytest.raises(UnknownNameError, match=f"No {kind} is named .* Available: none"):
        left.create(kind, BUILT_INS[kind][0])


def test_a_strangers_plugin_is_found_like_ours():
    fresh = PluginHost([])
    fresh.register(plugin(fpdm_register_solvers=lambda: [Halfway]), Origin("mine", "mine"))
    assert fresh.get("solver", "halfway") is Halfway
    assert fresh.create("solver", "halfway").solve(torch.cos, torch.zeros(2), evals=40).evals == 40
    assert "halfway" not in [found.name for found in host().components()]


@pytest.mark.parametrize(
    ("hooks", "reason"),
    [
        ({"fpdm_register_solvers": lambda: 1 / 0}, "ZeroDivisionError: division by zero"),
        ({"fpdm_register_solvers": lambda: None}, "returned None: must be a list of classes"),
        ({"fpdm_register_solvers": lambda: Halfway}, "must be a list of classes"),
        ({"fpdm_register_solver": lambda: []}, "unknown hook 'fpdm_register_solver'"),
    ],
)
def test_a_hook_that_fails_is_reported_by_name(monkeypatch, hooks, reason):
    point = EntryPoint("broken", "broken_plugin", "fpdm")
    monkeypatch.setattr(EntryPoint, "load", load_of({"broken": plugin(**hooks)}))
    with pytest.warns(PluginWarning, match="'broken'"):
        loaded = PluginHost([point, *own_entry_points()])
    assert [failure.origin.plugin for failure in loaded.failures] == ["broken"]
    assert reason in loaded.failures[0].reason
    assert [found.name for found in loaded.components("solver")] == BUILT_INS["solver"]


def load_of(modules: dict[str, object]):
    real = EntryPoint.load
    return lambda point: modules[point.name] if point.name in modules else real(point)


def test_a_plugin_that_cannot_be_imported_leaves_the_others_alone():
    missing = EntryPoint("absent", "no_such_module_anywhere", "fpdm")
    with pytest.warns(PluginWarning, match="'absent': ModuleNotFoundError"):
        loaded = PluginHost([missing, missing, *own_entry_points()])
    assert len(loaded.failures) == 2
    assert len(loaded.components()) == 18
    with pytest.raises(UnknownNameError, match="'absent' failed: ModuleNotFoundError"):
        loaded.create("solver", "from-absent")


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (int, "must be subclasses of FixedPointSolver"),
        ("Halfway", "must be subclasses of FixedPointSolver"),
        (IterativeSolver, "is abstract: it lacks advance, start"),
        (type("Nameless", (Halfway,), {"name": ""}), "has no name"),
        (
            type("Taken", (Halfway,), {"name": "naive"}),
            "'naive' is already registered by plugin 'solvers' of fpdm 0",
        ),
    ],
)
def test_one_bad_class_is_refused_and_the_good_ones_are_kept(cls, reason):
    loaded = PluginHost(own_entry_points())
    with pytest.warns(PluginWarning, match="'mine' of stranger 1.0"):
        loaded.register(
            plugin(fpdm_register_solvers=lambda: [cls, Halfway]),
            Origin("mine", "stranger", "1.0"),
        )
    assert reason in loaded.failures[0].reason
    assert [found.name for found in loaded.components("solver")] == [
        *BUILT_INS["solver"],
        "halfway",
    ]
    assert loaded.get("solver", "naive").__module__ == "fpdm_solvers.naive"


def test_a_plugin_whose_second_hook_fails_leaves_nothing_behind():
    fresh = PluginHost([])
    half = plugin(fpdm_register_solvers=lambda: [Halfway], fpdm_register_inits=lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fresh.register(half, Origin("half"))
    assert fresh.components() == []


def test_a_misspelt_hook_names_those_there_are():
    with pytest.raises(PluginError, match="fpdm_register_solvers"):
        PluginHost([]).register(plugin(fpdm_register_solverz=lambda: []), Origin("mine"))


def test_a_hook_may_have_a_name_of_its_own_and_a_plugin_a_name_of_ours():
    fresh = PluginHost(own_entry_points())
    mine = SimpleNamespace(
        mine=fpdm.hookimpl(specname="fpdm_register_solvers")(lambda: [Halfway]),
    )
    fresh.register(mine, Origin("solvers", "stranger", "1.0"))
    assert fresh.get("solver", "halfway") is Halfway


def test_a_plugin_that_exits_is_reported(monkeypatch):
    def leave():
        raise SystemExit(3)

    point = EntryPoint("leaver", "leaver", "fpdm")
    monkeypatch.setattr(
        EntryPoint, "load", load_of({"leaver": plugin(fpdm_register_solvers=leave)})
    )
    with pytest.warns(PluginWarning, match="SystemExit"):
        assert len(PluginHost([point, *own_entry_points()]).components()) == 18


def test_a_plain_function_without_the_marker_is_no_hook():
    fresh = PluginHost([])
    fresh.register(SimpleNamespace(fpdm_register_solvers=lambda: [Halfway]), Origin("mine"))
    assert fresh.components() == []


@pytest.mark.parametrize("kind", BUILT_INS)
def test_a_wrong_name_suggests_the_nearest_and_lists_all(kind):
    make = getattr(fpdm, kind)
    right = BUILT_INS[kind][0]
    with pytest.raises(UnknownNameError, match=f"Did you mean '{right}'") as caught:
        make(right + "x")
    assert all(name in str(caught.value) for name in BUILT_INS[kind])
    assert isinstance(caught.value, LookupError)
    with pytest.raises(UnknownNameError, match="has no option 'nonsense'"):
        make(right, nonsense=1)


def test_a_bad_option_is_an_error_of_ours_and_a_value_error():
    with pytest.raises(InvalidValueError, match="memory=0: must be a whole number ≥ 1") as caught:
        fpdm.solver("anderson", memory=0)
    assert isinstance(caught.value, (FPDMError, ValueError))
    with pytest.raises(UnknownNameError, match="Did you mean 'memory'"):
        fpdm.solver("anderson", memroy=3)


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, names in BUILT_INS.items() for n in names]
)
def test_describe_and_resolve_are_inverse(kind, name):
    component = getattr(fpdm, kind)(name)
    assert resolve(kind, describe(component)) == component
    assert resolve(kind, name) == component
    assert resolve(kind, component) is component


def test_the_installed_plugins_are_loaded_once_and_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert host() is host()
    assert plugins.KINDS.keys() == BUILT_INS.keys()
