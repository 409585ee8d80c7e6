"""Plugins that cannot be traced: which they are, and how they are kept out of a program."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, cast

import torch
from attrs import evolve
from torch import Tensor

from fpdm.compiling.call import Call, Solving
from fpdm.compiling.starts import Selected, as_tensors
from fpdm.interfaces import FixedPointSolver, InitStrategy
from fpdm.plugins.blame import ask
from fpdm.solution import Solution, Visited


class ApartSolver(FixedPointSolver):
    """A solver that runs as it is, while what it iterates is compiled.

    Args:
        solver: cannot be traced.
        by: compiles a function.
    """

    def __init__(self, solver: FixedPointSolver, by: Callable[[Any], Any]) -> None:
        self.solver = solver
        self.carry = solver.carry
        self.evaluate = by(_evaluate)

    @torch._dynamo.disable  # type: ignore[untyped-decorator]
    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        evals: int,
        tol: float | None = None,
        **going_on: Any,
    ) -> Solution:
        """Let the solver solve; see [`FixedPointSolver.solve`][fpdm.FixedPointSolver.solve].

        Args:
            f: likewise.
            x0: likewise, (B, ...).
            evals: likewise.
            tol: likewise.
            going_on: the `carry`, if it is given one.
        """
        counted: Any = f  # by the layer; what is compiled is the map, and not the count
        image, solver = counted.f, self.solver
        counted.f = lambda z: self.evaluate(image, z)
        return ask(
            lambda: solver.solve(f, x0, evals=evals, tol=tol, **going_on), f=f, solver=solver
        )


class ApartInit(InitStrategy):
    """An init that runs as it is.

    Args:
        init: cannot be traced.
    """

    def __init__(self, init: InitStrategy) -> None:
        self.init = init
        self.lookback = init.lookback  # type: ignore[misc]

    @torch._dynamo.disable  # type: ignore[untyped-decorator]
    def initial(self, features: Tensor, history: Any, moment: Any) -> Tensor:
        """Return what the init says, shaped like the features, (B, ...)."""
        init = self.init
        return ask(lambda: init.initial(features, history, moment), init=init)


def culprits(call: Call, blank: Visited) -> list[str]:
    """Which kinds of plugin a compiler cannot trace.

    Args:
        call: that it could not trace.
        blank: stands for the past.

    Returns:
        Of `solver` and `init`; `network` if neither is to blame.
    """
    solving = cast("Solving", call.solving)
    solver, init, evals = solving.solver, solving.init, solving.evals
    device, features = call.x.device, blank.features
    depth = torch.tensor(0, device=device)
    moment = as_tensors(blank.moment, device)
    history = (evolve(blank, moment=moment),) * init.lookback
    calls: dict[str, Callable[[], object]] = {
        "init": lambda: Selected(init, depth).initial(features, history, moment),
        "solver": lambda: solver.solve(_shrink, features, evals=evals),
    }
    return [kind for kind, ask_it in calls.items() if not _traces(ask_it)] or ["network"]


def keep_apart(call: Call, kinds: list[str], by: Callable[[Any], Any]) -> Call:
    """A call with plugins that are kept out of its program.

    Args:
        call: what is to be computed.
        kinds: of the plugins.
        by: compiles a function.

    Returns:
        The call as it can be compiled, though not as one graph.
    """
    solving = call.solving
    if solving is None:
        return call
    if "solver" in kinds:
        solving = evolve(solving, solver=ApartSolver(solving.solver, by))
    if "init" in kinds:
        solving = evolve(solving, init=ApartInit(solving.init))
    return evolve(call, solving=solving)


def warning_of(call: Call, kind: str) -> str:
    """The sentence that says that a plugin is not compiled.

    Args:
        call: in which it is used.
        kind: of the plugin.

    Returns:
        The sentence.
    """
    solving = call.solving
    parts = {} if solving is None else {"solver": solving.solver, "init": solving.init}
    found: Any = parts.get(kind, call.run.model)
    name = getattr(found, "name", type(found).__name__)
    return (
        f"The {kind} {name!r} cannot be traced by the compiler: it runs as it is, and what is "
        f"around it is compiled."
    )


def isolated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a function of which a compiler keeps programs of its own.

    It keeps them by the code of a function, tries one after the other, and gives up at the eighth.

    Args:
        function: written in Python.
    """
    given: Any = function
    fresh = types.FunctionType(
        given.__code__.replace(),
        given.__globals__,
        given.__name__,
        given.__defaults__,
        given.__closure__,
    )
    fresh.__kwdefaults__ = given.__kwdefaults__
    return fresh


def _traces(call: Callable[[], object]) -> bool:
    try:
        torch.compile(isolated(call), backend="eager", fullgraph=True)()
    except Exception:  # the compiler's, or the plugin's own, which comes again when it is called
        return False
    return True


def _evaluate(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    return f(z)


def _shrink(z: Tensor) -> Tensor:
    return 0.5 * z
