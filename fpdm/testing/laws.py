"""How a component is held to the laws of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs
import torch
from hypothesis import HealthCheck, Phase, settings
from torch import Tensor, nn

from fpdm.solution import Solution

Law = Callable[[Any], None]
"""A check of a component that raises AssertionError. Its docstring is the law."""

REPORTED = {
    "residual": (torch.float32, torch.float64),
    "absolute_residual": (torch.float32, torch.float64),
    "status": (torch.int64,),
}
"""What a solution reports of each sample, and in which dtypes."""

quick = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    phases=[phase for phase in Phase if phase is not Phase.explain],  # a hundred runs for a remark
)
"""What the laws run with: a few examples of many kinds, whatever the profile of the test run."""


def check(
    component: Any,
    *,
    base: type,
    laws: Sequence[Law],
    build: Callable[[Any], Any] | None = None,
) -> None:
    """Hold a component to its laws.

    Args:
        component: a class that can be built without arguments, or an object.
        base: the interface it must implement.
        laws: what must hold.
        build: makes of the component what a law is tried on; None is an object of the class.

    Raises:
        AssertionError: a law is broken; the message says who, which law, and how.
    """
    cls = component if isinstance(component, type) else type(component)
    assert issubclass(cls, base), f"{cls.__name__} is no {base.__name__}."
    name = getattr(cls, "name", None)
    assert isinstance(name, str), (
        f"{cls.__name__} has no name: give it `name: ClassVar[str] = ...`."
    )
    assert name, f"{cls.__name__} has an empty name."
    for law in laws:
        built = (build or _build)(component)
        try:
            law(built)
        except Exception as error:
            stated = " ".join((law.__doc__ or law.__name__).split())
            example = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
            raise AssertionError(
                f"{_called(built)} breaks the law {law.__name__}. {stated}\n{error}{example}"
            ) from error


def undisturbed(run: Callable[[], object], *given: object) -> None:
    """Run something, and see that it changes nothing of what it was given, or of the process.

    Args:
        run: what is not to draw from torch's generator, seed it, or change the default dtype.
        *given: what it reads; the tensors in it are not to be written to.

    Raises:
        AssertionError: it does.
    """
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    held = [(tensor, tensor.clone(), tensor.requires_grad) for tensor in tensors(given)]
    try:
        run()
        for tensor, before, required in held:
            assert torch.equal(tensor, before), "An argument was overwritten."
            assert tensor.requires_grad == required, "An argument was made to require a gradient."
        assert torch.equal(torch.get_rng_state(), state), "torch's generator was seeded or used."
        assert torch.get_default_dtype() == dtype, f"The default dtype became {dtype}."
    finally:
        torch.set_default_dtype(dtype)


def reports_each_sample(solution: Solution, x0: Tensor) -> None:
    """See that a solution says of each sample how its solve ended.

    Args:
        solution: what was returned.
        x0: where the solve started, (B, ...); a scalar is a batch of one.

    Raises:
        AssertionError: it does not.
    """
    assert isinstance(solution, Solution), f"{type(solution).__name__} is no Solution."
    assert type(solution.evals) is int, f"evals={solution.evals!r} is no int."
    samples = x0.shape[:1] if x0.dim() else (1,)
    for name, dtypes in REPORTED.items():
        said = getattr(solution, name)
        shape = tuple(said.shape)
        assert shape == tuple(samples), f"{name} has shape {shape} for {tuple(samples)} samples."
        assert said.dtype in dtypes, f"{name} is {said.dtype}."


def tensors(value: object) -> Iterator[Tensor]:
    """The tensors in a value, however deep.

    Args:
        value: a tensor, or what holds some: a sequence, a mapping, an object with fields.

    Yields:
        Each of them, of any shape.
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from tensors(each)
    elif attrs.has(type(value)):
        yield from tensors(attrs.asdict(cast("Any", value), recurse=False))


def _build(component: Any) -> Any:
    """An object, a fresh one of a class."""
    if not isinstance(component, type):
        return component
    try:
        return component()
    except TypeError as error:
        raise AssertionError(
            f"{component.__name__} cannot be built without arguments: {error}"
        ) from error


def _called(built: Any) -> str:
    """A component as messages call it: a network, whose own text is long, by its class."""
    return type(built).__name__ if isinstance(built, nn.Module) else str(built)
