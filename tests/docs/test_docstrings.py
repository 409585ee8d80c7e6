"""The docstrings of all that is public say what a caller has to know, and no more than there is.

What can be read off a signature or a body is compared with what the docstring says of it.
"""

import doctest
import importlib
import inspect
import linecache
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from fpdm.cli.app import app
from fpdm.errors import PluginWarning
from fpdm.plugins import KINDS, host
from tests.docs.documented import Documented, modules, public
from tests.docs.raising import named

NOUNS = ("Return ", "The ", "A ", "An ", "Whether ", "How ", "What ", "Which ", "Where ", "Why ")
"""How a first line begins that says by itself what is returned."""

KIT = [f"fpdm.testing.{kind}s" for kind in KINDS]

DIMENSIONS = r"\((?:\d+ ?)?(?:[A-Z]|[a-z_]+|\d+|…),[^()]*\)|\(\)"
SHAPE = re.compile(rf"{DIMENSIONS}|\b(?:shapes?|shaped|rank|scalar)\b|\blike `\w+`")
TENSOR = re.compile(r"\b(?:Tensor|NDArray|ArrayLike)\b")
UNSHAPED = re.compile(r"\bCallable\[(?:\[.*?\]|\.\.\.), [\w.]+\]|\b(?:dict|Mapping)\[.*\]")
"""Tensors in an annotation that are not handed over, or whose shapes are those of a network."""

SOURCE = re.compile(r"\b(?:18|19|20)\d\d\b|this library's own")
SOURCED = {
    "fpdm": "DiT EvenDDIMScheduler EvenDDPMScheduler FPDiT FixedPointLayer FlowScheduler",
    "fpdm.allocator": "apportion",
    "fpdm.diffusion": "Diffusion Diffusion.loss",
    "fpdm.evaluation": (
        "bootstrap frechet_at_infinity frechet_distance kernel_distance precision_recall "
        "TorchScript read_archive write_archive"
    ),
    "fpdm.diffusion.guidance": "Guidance",
    "fpdm.models.block": "Attention Block",
    "fpdm.models.conditioning": "TimestepEmbedding",
    "fpdm.models.positions": "sincos_positions",
    "fpdm.models.transformer": "initialise",
    "fpdm.diffusion.schedulers": (
        "DPMScheduler EvenDDIMScheduler FlowDPMScheduler FlowHeunScheduler FlowUniPCScheduler"
    ),
    "fpdm.diffusion.spacing": "even_timesteps",
    "fpdm.training.config": "OptimizerConfig",
    "fpdm.training.loop": "learning_rate_curve",
    "fpdm.diffusion.variance": "Posterior.variational_bound",
}
"""What computes something that a paper describes, beside the components of the plugins."""


def describes_every_parameter(thing: Documented) -> Iterator[str]:
    """Each parameter, and each field that makes an object, stands under Args or Attributes."""
    if not (is_law(thing) or is_validator(thing)):
        yield from sorted(thing.parameters.keys() - thing.section("param", "attribute"))


def describes_nothing_else(thing: Documented) -> Iterator[str]:
    """Whatever stands under Args or Attributes is there."""
    hidden = {"draw"}  # which hypothesis takes out of the signature
    yield from sorted(thing.own_entries - thing.parameters.keys() - thing.attributes - hidden)


def says_what_is_returned(thing: Documented) -> Iterator[str]:
    """Under Returns, or by a first line that names it; and nothing where nothing is returned."""
    returns = bool(thing.docstrings and thing.docstrings[0].returns)
    if thing.returned in ("None", "NoReturn", "Never"):
        yield from ["nothing is returned"] if returns else []
        return
    said = thing.is_property or thing.is_generator or thing.section("returns", "yields")
    if not said and not any(line.startswith(NOUNS) or "→" in line for line in thing.summaries):
        yield thing.returned


def says_what_is_yielded(thing: Documented) -> Iterator[str]:
    """Under Yields, for a generator and for what makes a context of one."""
    if thing.is_generator and not thing.section("yields"):
        yield thing.returned


def says_what_is_raised(thing: Documented) -> Iterator[str]:
    """Under Raises, each by its own name, which exists; for a call also in its class."""
    said = thing.section("raises")
    if thing.owner and thing.name.endswith("__call__"):
        said |= Documented(thing.owner.__name__, thing.module, thing.owner).section("raises")
    classes = {name: named(name, thing.namespace) for name in {**said, **thing.section("warns")}}
    yield from (f"there is no {name}" for name, cls in classes.items() if not inspect.isclass(cls))
    if not is_command(thing):
        yield from sorted(cls.__name__ for cls in thing.raised if cls not in classes.values())


def gives_every_tensor_its_shape(thing: Documented) -> Iterator[str]:
    """As (B, N, D), in words, or like another; "each (B, D)" in the first line is for all."""
    each = any("each (" in line for line in thing.summaries)
    said = thing.section("param", "attribute")
    for name, annotation in thing.parameters.items():
        if holds_tensor(annotation) and not each and not SHAPE.search(said.get(name, "")):
            yield name
    if holds_tensor(thing.returned):
        texts = [*thing.section("returns", "yields").values(), *thing.descriptions]
        if not any(map(SHAPE.search, texts)):
            yield f"→ {thing.returned}"


LAWS = [
    describes_every_parameter,
    describes_nothing_else,
    says_what_is_returned,
    says_what_is_yielded,
    says_what_is_raised,
    gives_every_tensor_its_shape,
]


@cache
def kit_laws() -> frozenset[Any]:
    """The laws that the conformance kit holds components to."""
    return frozenset(law for module in KIT for law in importlib.import_module(module).LAWS)


def is_law(thing: Documented) -> bool:
    """A law of the conformance kit: its docstring is the law, and it takes what it is about."""
    return inspect.isfunction(thing.value) and thing.value in kit_laws()


def is_validator(thing: Documented) -> bool:
    """attrs calls it, with the object, the field and the value."""
    return list(thing.parameters)[1:] == ["field", "value"]


def is_command(thing: Documented) -> bool:
    """A command of the program, which makes a message and an exit code of every error."""
    return thing.value in list(commands(app))


def commands(program: Any) -> Iterator[Any]:
    for name in program:
        if not name.startswith("-"):
            yield program[name].default_command
            yield from commands(program[name])


def holds_tensor(annotation: str) -> bool:
    return bool(TENSOR.search(UNSHAPED.sub("", annotation)))


def names_its_source(docstring: str) -> bool:
    """A year, or that it is ours, wherever the lines are wrapped."""
    return bool(SOURCE.search(" ".join(docstring.split())))


def complaints(law: Any, names: list[str]) -> list[str]:
    things = [thing for name in names for thing in public(name)]
    return [f"{thing.name}: {complaint}" for thing in things for complaint in law(thing)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_docstring_keeps_the_law(law):
    broken = complaints(law, modules())
    assert not broken, "\n".join([law.__doc__, *broken])


@pytest.mark.parametrize("name", modules())
def test_everything_public_has_a_docstring(name):
    assert inspect.getdoc(importlib.import_module(name)), name
    for thing in public(name):
        assert thing.docstrings, thing.name


@pytest.mark.parametrize("name", modules())
def test_docstring_examples_run(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_every_component_says_what_its_options_are():
    for component in host().components():
        said = inspect.getdoc(component.cls)
        for option in inspect.signature(component.cls).parameters:
            assert f"{option}:" in said, f"{component.name}: {option}"


def test_every_component_names_its_source():
    for component in host().components():
        if component.kind != "dataset":  # which reads, and computes nothing
            assert names_its_source(inspect.getdoc(component.cls)), component.name


@pytest.mark.parametrize("module", SOURCED)
def test_what_a_paper_describes_names_its_source(module):
    for path in SOURCED[module].split():
        value = importlib.import_module(module)
        for name in path.split("."):
            value = getattr(value, name)
        assert names_its_source(value.__doc__), path


@pytest.mark.parametrize("width", range(10, 50, 4))
def test_a_source_is_found_however_its_line_is_wrapped(width):
    source = textwrap.fill("Source: the rule is this library's own.", width)
    assert names_its_source(textwrap.indent(f"A rule.\n\n{source}\n", "    "))


def test_what_names_no_source_is_noticed():
    assert not names_its_source("A rule.\n\n    Source: this library.\n")


SAMPLE = '''\
"""A sample."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from contextlib import contextmanager

from attrs import field, frozen
from torch import Tensor

from fpdm.checks import check_whole, whole
from fpdm.errors import BudgetError, InvalidValueError


class Base(ABC):
    """A base."""

    @abstractmethod
    def run(self, x: Tensor) -> Tensor:
        """Run.

        Args:
            x: where to start, (B, D).

        Returns:
            Shaped like `x`.
        """


@frozen
class Child(Base):
    """A child, of which there are a few.

    Args:
        memory: how many, ≥ 1.

    Raises:
        InvalidValueError: `memory` is not allowed.
    """

    memory: int = field(default=6, validator=whole(minimum=1))

    def run(self, x: Tensor) -> Tensor:
        """Run, as the base says."""
        return x


class Counter:
    """A counter.

    Args:
        granted: calls.

    Raises:
        BudgetError: at a call too many.
    """

    def __init__(self, granted: int) -> None:
        self.granted = granted

    def __call__(self) -> None:
        """Count."""
        self._refuse()

    def _refuse(self) -> None:
        raise BudgetError("It is spent.")


def plan(budget: int, *, steps: int) -> list[int]:
    """Share a budget.

    Args:
        budget: iterations.
        steps: timesteps.

    Returns:
        A count for each timestep.

    Raises:
        InvalidValueError: `steps` is not allowed.
        BudgetError: it cannot pay.
    """
    check_whole("steps", steps, minimum=1)
    try:
        check_whole("budget", budget, minimum=steps)
    except InvalidValueError:
        raise BudgetError("It cannot pay.") from None
    return [budget // steps] * steps


def count(budget: int) -> Iterator[int]:
    """Count.

    Args:
        budget: iterations.

    Yields:
        How many are left.
    """
    yield from range(budget)


@contextmanager
def opened(path: str) -> Iterator[str]:
    """Open a file.

    Args:
        path: of the file.

    Yields:
        Its name.
    """
    yield path
'''

MUTATIONS = [
    (describes_every_parameter, "    x: where to start, (B, D).", "    y: where to start, (B, D)."),
    (describes_every_parameter, "        budget: iterations.\n        steps", "        steps"),
    (describes_every_parameter, "steps: int) ->", "steps: int, least: int = 1) ->"),
    (describes_every_parameter, "    memory: int = field", "    rank: int = field"),
    (
        describes_nothing_else,
        "        steps: timesteps.",
        "        steps: some.\n        most: all.",
    ),
    (describes_nothing_else, "memory: how many, ≥ 1.", "memory: some.\n        rank: others."),
    (says_what_is_returned, "    Returns:\n        A count for each timestep.\n\n    ", "    "),
    (says_what_is_returned, "-> list[int]:", "-> None:"),
    (says_what_is_yielded, "    Yields:\n        How many are left.\n    ", "    "),
    (says_what_is_yielded, "    Yields:\n        Its name.\n    ", "    "),
    (says_what_is_raised, "        BudgetError: it cannot pay.\n    ", "    "),
    (says_what_is_raised, "        InvalidValueError: `steps` is not allowed.\n    ", "    "),
    (says_what_is_raised, "InvalidValueError: `memory`", "BudgetError: `memory`"),
    (says_what_is_raised, "BudgetError: at", "InvalidValueError: at"),
    (says_what_is_raised, "BudgetError: it cannot pay", "OverBudgetError: it cannot pay"),
    (gives_every_tensor_its_shape, "start, (B, D)", "start (Salimans and Ho, 2022)"),
    (gives_every_tensor_its_shape, "Shaped like `x`", "The answer"),
]


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """Import the sample, or what has become of it."""

    def load(text: str) -> str:
        (tmp_path / "fpdm_sample.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "fpdm_sample", raising=False)
        importlib.invalidate_caches()
        linecache.clearcache()
        importlib.import_module("fpdm_sample")
        return "fpdm_sample"

    return load


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_what_is_said_and_inherited_is_enough(sample, law):
    assert not complaints(law, [sample(SAMPLE)])


@pytest.mark.parametrize(("law", "before", "after"), MUTATIONS)
def test_a_docstring_that_goes_stale_is_noticed(sample, law, before, after):
    assert before in SAMPLE
    assert complaints(law, [sample(SAMPLE.replace(before, after))])
