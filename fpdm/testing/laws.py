"""How a component is held to the laws of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs
import torch
from hypothesis import HealthCheck, Phase, settings
from torch import Tensor

Law = Callable[[Any], None]
"""A check of a component that raises AssertionError. Its docstring is the law."""

quick = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    phases=[phase for phase in Phase if phase is not Phase.explain],  # a hundred runs for a remark
)
"""What the laws run with: a few examples of many kinds, whatever the profile of the test run."""


def check(component: Any, *, base: type, laws: Sequence[Law]) -> None:
    """Hold a component to its laws.

    Args:
        component: a class that can be built without arguments, or an object.
        base: the interface it must implement.
        laws: what must hold.

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
        built = _build(component)
        try:
            law(built)
        except Exception as error:
            stated = " ".join((law.__doc__ or law.__name__).split())
            example = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
            raise AssertionError(
                f"{built} breaks the law {law.__name__}. {stated}\n{error}{example}"
            ) from error


def undisturbed(run: Callable[[], object]) -> None:
    """Run something, and see that nothing of the process is changed by it.

    Args:
        run: what is not to draw from torch's generator, seed it, or change the default dtype.

    Raises:
        AssertionError: it does.
    """
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    try:
        run()
        assert torch.equal(torch.get_rng_state(), state), "torch's generator was seeded or used."
        assert torch.get_default_dtype() == dtype, f"The default dtype became {dtype}."
    finally:
        torch.set_default_dtype(dtype)


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
