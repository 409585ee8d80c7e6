"""Pipelines compiled with a backend that counts."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._dynamo.testing import CompileCounterWithBackend

from tests.sampling.pipelines import images, pipeline
from tests.toys import tiny


def counted(backend: str = "eager") -> CompileCounterWithBackend:
    """A backend that counts what it is asked to compile, beginning with nothing compiled."""
    torch._dynamo.reset()
    return CompileCounterWithBackend(backend)


def pair(counter, model=None, **options):
    """Images of an eager pipeline, and a compiled one of the same network."""
    model = model or tiny()
    return images(pipeline(model), **options), pipeline(model).compile(backend=counter)


@contextmanager
def told() -> Iterator[list[str]]:
    """Collects what is warned of plugins that cannot be traced."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield said
    said += [str(each.message) for each in found if "traced" in str(each.message)]
