"""Plugins: found by name, refused with a reason, and never able to take one another down."""

import dataclasses
import json
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
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
from fpdm.plugins import Origin, PluginHost, describe, host, lookup, resolve
from tests.built_ins import PROMISED, built_ins, own_entry_points
from tests.plugins.hosts import names, plugin
from tests.plugins.strangers import STRANGERS

BUILT_INS = built_ins()
ENTRY_POINTS = sorted(f"{kind}s" for kind in BUILT_INS)


@attrs.frozen
class Halfway(IterativeSolver):
    name: ClassVar[str] = "halfway"

    def start(self, z0):
        del z0

    def advance(self, z, image, state):
        return (z + image) / 2, state


@pytest.mark.parametrize("kind", BUILT_INS)
def test_the_built_ins_are_installed_with_package_and_version(kind):
    found = [
        component for component in host().components(kind) if component.origin.package == "fpdm"
    ]
    there = [component.name for component in found]
    assert there == BUILT_INS[kind]
    assert [name for name in there if name in PROMISED[kind]] == PROMISED[kind]
    assert {component.origin.version for component in found} == {fpdm.__version__}
    assert host().failures == []


@pytest.mark.parametrize("gone", ENTRY_POINTS)
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


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_a_broken_plugin_is_named_with_its_reason_and_its_place(stranger, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / f"{stranger.module}.py"
    file.write_text(stranger.source, encoding="utf-8")
    point = EntryPoint(stranger.name, stranger.value, "fpdm")
    with pytest.warns(PluginWarning, match=f"Plugin '{stranger.name}' failed: "):
        loaded = PluginHost([point, *own_entry_points()])
    (failure,) = loaded.failures
    assert failure.origin == Origin(stranger.name, value=stranger.value)
    assert stranger.reason in failure.reason
    assert failure.reason.rstrip(".") in str(failure)
    if stranger.line:
        assert (failure.file, failure.line) == (file, stranger.number)
        assert f"{file}, line {stranger.number}" in str(failure)
    assert {kind: names(loaded, kind) for kind in BUILT_INS} == BUILT_INS


def test_an_interrupt_while_a_plugin_loads_comes_through(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        PluginHost([EntryPoint("interrupted", "interrupted", "fpdm")])


def test_the_second_of_two_strangers_with_one_name_is_told_of_the_first():
    fresh = PluginHost([])
    for package in ("first", "second"):
        cls = type("Mine", (Halfway,), {"name": "shared"})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginWarning)
            fresh.register(
                plugin(fpdm_register_solvers=lambda cls=cls: [cls]), Origin(package, package)
            )
    (failure,) = fresh.failures
    assert failure.origin.package == "second"
    assert "'shared' is already registered by plugin 'first' of first" in failure.reason


def test_threads_that_come_first_together_load_the_plugins_once(monkeypatch):
    loads = []

    def slow(found=None):
        loads.append(found)
        time.sleep(0.05)
        return PluginHost(own_entry_points())

    monkeypatch.setattr(lookup, "PluginHost", slow)
    monkeypatch.setattr(lookup, "_installed", lookup._Installed())
    with ThreadPoolExecutor(8) as pool:
        hosts = set(pool.map(lambda _: id(plugins.host()), range(16)))
    assert (len(loads), len(hosts)) == (1, 1)


@attrs.frozen
class Hidden(Halfway):
    name: ClassVar[str] = "hidden"
    _inner: int = 3
    other: int = attrs.field(default=2, alias="shown")
    made: int = attrs.field(default=1, init=False)


@dataclasses.dataclass(frozen=True)
class Data(Halfway):
    name: ClassVar[str] = "data"
    a: float = 0.5


class Plain(Halfway):
    name: ClassVar[str] = "plain"

    def __init__(self, a=3):
        object.__setattr__(self, "a", a)

    def __eq__(self, other):
        return type(other) is Plain and other.a == self.a

    __hash__ = None


@pytest.mark.parametrize(
    "component", [Hidden(inner=5, shown=6), Data(a=0.05), Plain(a=4)], ids=lambda each: each.name
)
def test_what_is_described_is_resolved_to_the_same_whatever_makes_its_class(component, monkeypatch):
    fresh = PluginHost([])
    fresh.register(plugin(fpdm_register_solvers=lambda: [type(component)]), Origin("mine"))
    assert fresh.failures == []
    monkeypatch.setattr(lookup, "host", lambda: fresh)
    described = json.loads(json.dumps(describe(component)))
    assert resolve("solver", described) == component
    assert resolve("solver", describe(resolve("solver", component.name))) == type(component)()


def test_one_module_under_two_names_is_registered_once():
    fresh, mine = PluginHost([]), plugin(fpdm_register_solvers=lambda: [Halfway])
    fresh.register(mine, Origin("mine"))
    with pytest.raises(PluginError, match="registered already, as 'mine'"):
        fresh.register(mine, Origin("again"))
    with pytest.raises(PluginError, match="another plugin of this name"):
        fresh.register(plugin(), Origin("mine"))
    assert names(fresh, "solver") == ["halfway"]


def test_a_hook_of_another_version_may_be_optional():
    fresh = PluginHost([])
    mine = SimpleNamespace(
        later=fpdm.hookimpl(specname="fpdm_register_samplers", optionalhook=True)(lambda _: []),
        now=fpdm.hookimpl(specname="fpdm_register_solvers")(lambda: [Halfway]),
    )
    fresh.register(mine, Origin("mine"))
    assert names(fresh, "solver") == ["halfway"]


def test_a_plugin_that_cannot_be_imported_leaves_the_others_alone():
    missing = EntryPoint("absent", "no_such_module_anywhere", "fpdm")
    with pytest.warns(PluginWarning, match="'absent' failed: ModuleNotFoundError"):
        loaded = PluginHost([missing, missing, *own_entry_points()])
    assert len(loaded.failures) == 2
    assert {kind: names(loaded, kind) for kind in BUILT_INS} == BUILT_INS
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


def test_a_plain_function_without_the_marker_is_no_hook():
    fresh, plugin = PluginHost([]), SimpleNamespace(fpdm_register_solvers=lambda: [Halfway])
    message = "nothing in it is marked by @fpdm.hookimpl: add it to fpdm_register_solvers"
    with pytest.raises(PluginError, match=message):
        fresh.register(plugin, Origin("mine"))
    assert fresh.components() == []


@pytest.mark.parametrize(
    ("variable", "gone"),
    [
        ("gradients", ["gradients"]),
        (" inits , ,gradients,", ["gradients", "inits"]),
        ("gradients,gradients", ["gradients"]),
        ("fpdm", ENTRY_POINTS),
        ("FPDM,solvers", ENTRY_POINTS),
        (" , ", []),
    ],
)
def test_what_is_disabled_is_not_loaded(monkeypatch, variable, gone):
    monkeypatch.setenv("FPDM_DISABLE_PLUGINS", variable)
    left = PluginHost()
    assert sorted(origin.plugin for origin in left.disabled) == gone
    assert {origin.package for origin in left.disabled} <= {"fpdm"}
    for kind, built_in in BUILT_INS.items():
        assert names(left, kind) == ([] if f"{kind}s" in gone else built_in)
    assert left.failures == []


def test_what_is_disabled_is_never_imported(monkeypatch):
    loaded = []
    real = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda at: loaded.append(at.name) or real(at))
    monkeypatch.setenv("FPDM_DISABLE_PLUGINS", "inits,solvers")
    PluginHost()
    assert sorted(loaded) == sorted({*ENTRY_POINTS} - {"inits", "solvers"})


def test_a_look_up_says_what_is_disabled(monkeypatch):
    monkeypatch.setenv("FPDM_DISABLE_PLUGINS", "gradients")
    with pytest.raises(
        UnknownNameError, match="Disabled by FPDM_DISABLE_PLUGINS: 'gradients' of fpdm 0"
    ):
        PluginHost().create("gradient", "sjfb")


def test_to_disable_what_there_is_not_is_a_warning(monkeypatch):
    monkeypatch.setenv("FPDM_DISABLE_PLUGINS", "gradient")
    with pytest.warns(PluginWarning, match="named 'gradient'. Did you mean 'gradients'") as caught:
        left = PluginHost()
    for name in (*ENTRY_POINTS, "fpdm"):
        assert name in str(caught[0].message)
    assert left.disabled == []
    assert {kind: names(left, kind) for kind in BUILT_INS} == BUILT_INS


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
    ("kind", "name"),
    [(k, n) for k, names in BUILT_INS.items() if not plugins.KINDS[k].late for n in names],
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
