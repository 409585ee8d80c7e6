"""What functions take is looked up once for each, and nothing is kept alive for it."""

import gc
import inspect
from functools import partial, wraps
from weakref import ref

import pytest

from fpdm.runtime import signatures
from fpdm.runtime.signatures import takes


class Stepper:
    def step(self, sample, *, eta=0.0):
        return sample, eta


def wrapped(function):
    @wraps(function)
    def other(*args, **kwargs):
        return function(*args, **kwargs)

    return other


@pytest.mark.parametrize(
    "function",
    [Stepper().step, Stepper.step, wrapped(Stepper.step), partial(Stepper.step, None)],
)
def test_functions_methods_and_what_wraps_them_are_looked_into(function):
    for _ in range(2):
        assert takes(function, "eta")
        assert not takes(function, "noise")


def test_a_signature_is_taken_once_whatever_the_object(monkeypatch):
    asked = []

    def signature(function):
        asked.append(function)
        return inspect.Signature.from_callable(function)

    monkeypatch.setattr(signatures.inspect, "signature", signature)

    class Fresh(Stepper):
        def step(self, sample, *, eta=0.0):
            return sample, eta

    assert all(takes(Fresh().step, name) for name in ("sample", "eta") for _ in range(5))
    assert asked == [Fresh.step]


def test_a_function_is_not_kept_alive():
    def passing(eta):
        return eta

    assert takes(passing, "eta")
    there = ref(passing)
    del passing
    gc.collect()
    assert there() is None
