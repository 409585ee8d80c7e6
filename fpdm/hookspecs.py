"""The hooks of a plugin: one for each kind, without arguments, returning a list of classes.

A plugin is a module named in the entry-point group `fpdm`, with any of these functions in it,
each marked with `fpdm.hookimpl`. A class carries the name under which it is looked up. It is built
with its options as keywords, so every option has a default.
"""

from __future__ import annotations

import pluggy

from fpdm.interfaces import AllocationPolicy, FixedPointSolver, GradientEstimator, InitStrategy

hookspec = pluggy.HookspecMarker("fpdm")
hookimpl = pluggy.HookimplMarker("fpdm")


@hookspec
def fpdm_register_solvers() -> list[type[FixedPointSolver]]:  # type: ignore[empty-body]
    """Return solver classes, found afterwards by `fpdm.solver(name)`.

    Examples:
        A solver that goes half of the way to the image, and can be told to go further:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> from fpdm import FixedPointSolver, hookimpl
        >>> from fpdm.checks import real
        >>> from fpdm.iteration import IterativeSolver
        >>> @frozen
        ... class Partway(IterativeSolver):
        ...     name: ClassVar[str] = "partway"
        ...     share: float = field(default=0.5, validator=real(above=0, maximum=1))
        ...     def start(self, z0):
        ...         return None
        ...     def advance(self, z, image, state):
        ...         return z.lerp(image, self.share), state
        >>> @hookimpl
        ... def fpdm_register_solvers() -> list[type[FixedPointSolver]]:
        ...     return [Partway]
        >>> [cls.name for cls in fpdm_register_solvers()]
        ['partway']
    """


@hookspec
def fpdm_register_allocations() -> list[type[AllocationPolicy]]:  # type: ignore[empty-body]
    """Return allocation policies, found afterwards by `fpdm.allocation(name)`.

    Examples:
        A policy that gives the last timesteps more than the others, by a factor:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> from fpdm import AllocationPolicy, hookimpl
        >>> from fpdm.allocator import WeightedAllocation
        >>> from fpdm.checks import real
        >>> @frozen
        ... class Finish(WeightedAllocation):
        ...     name: ClassVar[str] = "finish"
        ...     factor: float = field(default=3.0, validator=real(minimum=1))
        ...     def weights(self, steps):
        ...         late = steps // 4
        ...         return [1.0] * (steps - late) + [self.factor] * late
        >>> @hookimpl
        ... def fpdm_register_allocations() -> list[type[AllocationPolicy]]:
        ...     return [Finish]
        >>> fpdm_register_allocations()[0]().plan(budget=20, steps=8)
        (1, 1, 2, 2, 2, 2, 5, 5)
    """


@hookspec
def fpdm_register_inits() -> list[type[InitStrategy]]:  # type: ignore[empty-body]
    """Return init strategies, found afterwards by `fpdm.init(name)`.

    Examples:
        A strategy that starts between the features and the last solution:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> import torch
        >>> from fpdm import InitStrategy, Moment, hookimpl
        >>> from fpdm.checks import real
        >>> @frozen
        ... class Between(InitStrategy):
        ...     name: ClassVar[str] = "between"
        ...     lookback: ClassVar[int] = 1  # past timesteps that are read
        ...     weight: float = field(default=0.5, validator=real(minimum=0, maximum=1))
        ...     def initial(self, features, history, moment):
        ...         if not history:
        ...             return features
        ...         return features.lerp(history[-1].solution.value, self.weight)
        >>> @hookimpl
        ... def fpdm_register_inits() -> list[type[InitStrategy]]:
        ...     return [Between]
        >>> fpdm_register_inits()[0]().initial(torch.ones(1, 4, 8), [], Moment()).shape
        torch.Size([1, 4, 8])
    """


@hookspec
def fpdm_register_gradients() -> list[type[GradientEstimator]]:  # type: ignore[empty-body]
    """Return gradient estimators, found afterwards by `fpdm.gradient(name)`.

    Examples:
        An estimator that backpropagates through a few evaluations from the start on:

        >>> from typing import ClassVar
        >>> from attrs import field, frozen
        >>> import torch, fpdm
        >>> from fpdm import GradientEstimator, hookimpl
        >>> from fpdm.checks import whole
        >>> @frozen
        ... class Short(GradientEstimator):
        ...     name: ClassVar[str] = "short"
        ...     evals: int = field(default=3, validator=whole(minimum=1))
        ...     def solve(self, f, z0, solver, generator=None):
        ...         return solver.solve(f, z0, evals=self.evals)
        >>> @hookimpl
        ... def fpdm_register_gradients() -> list[type[GradientEstimator]]:
        ...     return [Short]
        >>> weight = torch.tensor([[0.5]], requires_grad=True)
        >>> solution = fpdm_register_gradients()[0]().solve(
        ...     lambda z: weight * z + 1, torch.zeros(1, 1), fpdm.solver("naive"))
        >>> solution.value.sum().backward()
        >>> round(weight.grad.item(), 2)  # of 1 + w + w²
        2.0
    """
